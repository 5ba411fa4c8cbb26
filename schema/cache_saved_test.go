package schema

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestSaved: what is read back of a blob is what was saved, of every file of every case and example; what is wrong is
// parsed again.
func TestSaved(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	before, blobs := NewCache(), map[BlobID][]byte{}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			id := GitBlobID(f.Data)
			blobs[id] = f.Data
			before.Put(id, parseBlob(f.Data))
		}
	}
	before.fresh += 1000
	b, worth := before.Save()
	if !worth {
		t.Fatal("it isn't worth saving")
	}
	after := NewCacheOf(func() []byte { return b })
	known := 0
	for id, data := range blobs {
		got, ok := after.Get(id)
		if !ok {
			continue
		}
		known++
		if want := parseBlob(data); !reflect.DeepEqual(got, want) {
			t.Errorf("read back %+v, want %+v, of\n%s", got, want, data)
		}
	}
	if known < 15 {
		t.Errorf("%d of %d files are known", known, len(blobs))
	}
	if _, worth := after.Save(); worth {
		t.Error("what has only been read is worth saving")
	}
	for _, damaged := range [][]byte{nil, {1}, b[:len(b)-1], append([]byte{b[0] + 1}, b[1:]...), b[1:]} {
		cache := NewCacheOf(func() []byte { return damaged })
		for id := range blobs {
			if _, ok := cache.Get(id); ok {
				t.Fatal("something is known from a damaged file")
			}
		}
	}
}

// TestSavedIsWhole: gob leaves out what isn't exported, so nothing of it may be in what is saved.
func TestSavedIsWhole(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(at reflect.Type) {
		if seen[at] {
			return
		}
		seen[at] = true
		switch at.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			look(at.Elem())
		case reflect.Map:
			look(at.Key())
			look(at.Elem())
		case reflect.Struct:
			for i := range at.NumField() {
				if f := at.Field(i); !f.IsExported() {
					t.Errorf("%s.%s isn't exported", at, f.Name)
				} else {
					look(f.Type)
				}
			}
		case reflect.Interface, reflect.Func, reflect.Chan:
			t.Errorf("%s can't be saved", at)
		}
	}
	look(reflect.TypeFor[saved]())
}
