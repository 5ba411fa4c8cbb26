package planner

import (
	"reflect"
	"testing"
)

// TestEqualSeesEveryField: whatever field of whatever kind changes, the quick comparison says what the hashes say.
func TestEqualSeesEveryField(t *testing.T) {
	for _, kind := range Ladder {
		plain, err := decoders[kind](Meta{Target: "t", Name: "n"}, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range reflect.TypeOf(plain).NumField() {
			field := reflect.TypeOf(plain).Field(i)
			if field.Name == "Meta" || field.Tag.Get("json") == "-" { // what isn't content
				continue
			}
			v := reflect.New(reflect.TypeOf(plain)).Elem()
			v.Set(reflect.ValueOf(plain))
			v.Field(i).Set(other(t, field.Type))
			changed := v.Interface().(Object)
			if HashOf(plain) == HashOf(changed) {
				t.Fatalf("%s.%s: the test doesn't change it", kind, field.Name)
			}
			if equal(plain, changed) {
				t.Errorf("%s.%s: equal doesn't look at it", kind, field.Name)
			}
		}
		if !equal(plain, plain) {
			t.Errorf("%s doesn't equal itself", kind)
		}
	}
}

// other returns a value of a type that isn't its zero value.
func other(t *testing.T, typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch typ.Kind() {
	case reflect.String:
		v.SetString("other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(typ, 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(typ))
		v.SetMapIndex(reflect.ValueOf("other").Convert(typ.Key()), reflect.New(typ.Elem()).Elem())
	case reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(other(t, typ.Elem()))
	case reflect.Struct:
		v.Field(0).Set(other(t, typ.Field(0).Type))
	default:
		t.Fatalf("no other value of %s", typ)
	}
	return v
}

// TestRungs: the ladder and the rungs of kinds are the same.
func TestRungs(t *testing.T) {
	for want, k := range Ladder {
		if got, ok := k.Rung(); got != want || !ok {
			t.Errorf("%s is on rung %d, want %d", k, got, want)
		}
	}
	if _, ok := Kind("").Rung(); ok {
		t.Error("there is a kind without a name")
	}
}
