package sops

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"gopkg.in/yaml.v3"
)

const (
	armorHeader = armor.Header
	armorFooter = armor.Footer
)

// ErrRecipient says that no identity at hand opens a file.
var ErrRecipient = errors.New("it isn't encrypted to this platform's age key; 'hostctl secret recipients add' adds the key that 'hostctl secret recipients' shows, by whoever can open the file")

// ErrMAC says that values of a file were changed, added, removed or moved by something that doesn't know the data key.
var ErrMAC = errors.New("its MAC doesn't match: values were changed by hand or merged; put the file back from git, then 'hostctl secret set' what is to change")

// Opened is a file with its data key and its values in clear.
type Opened struct {
	*File
	key    []byte
	values map[*leaf]value
}

// value is a plaintext and its kind.
type value struct {
	plain []byte // as the MAC has it
	kind  string
}

// Open decrypts a file and checks its MAC. It fails with ErrRecipient and ErrMAC.
func (f *File) Open(identities ...age.Identity) (*Opened, error) {
	key, err := f.dataKey(identities)
	if err != nil {
		return nil, err
	}
	o := &Opened{File: f, key: key, values: map[*leaf]value{}}
	for _, l := range f.leafs {
		if o.values[l], err = o.read(l); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name(), err)
		}
	}
	mac, _, err := open(f.meta.MAC, key, macContext(f.meta.LastModified))
	if err != nil || subtle.ConstantTimeCompare(mac, []byte(o.mac())) != 1 {
		return nil, ErrMAC
	}
	return o, nil
}

// macContext is the additional data of the MAC: the time as sops writes it again.
func macContext(lastModified string) string {
	t, err := time.Parse(time.RFC3339, lastModified)
	if err != nil {
		return lastModified
	}
	return t.Format(time.RFC3339)
}

func (f *File) dataKey(identities []age.Identity) ([]byte, error) {
	for _, r := range f.meta.Age {
		in, err := age.Decrypt(armor.NewReader(strings.NewReader(r.Enc)), identities...)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(io.LimitReader(in, keySize+1))
		if err == nil && len(key) == keySize {
			return key, nil
		}
	}
	return nil, ErrRecipient
}

// read decrypts a leaf, or takes it as it is.
func (o *Opened) read(l *leaf) (value, error) {
	if !l.sealed {
		return plainValue(l.node), nil
	}
	plain, kind, err := open(l.node.Value, o.key, additional(l.path))
	return value{plain, kind}, err
}

// plainValue is what a value in clear adds to the MAC.
func plainValue(n *yaml.Node) value {
	text, kind := n.Value, "str"
	switch n.ShortTag() {
	case "!!bool":
		var b bool
		_ = n.Decode(&b) // its tag says that it is one
		kind, text = "bool", boolText(b)
	case "!!int":
		var i int
		if kind = "int"; n.Decode(&i) == nil {
			text = strconv.Itoa(i)
		}
	case "!!float":
		var x float64
		if kind = "float"; n.Decode(&x) == nil {
			text = strconv.FormatFloat(x, 'f', -1, 64)
		}
	case "!!timestamp":
		var t time.Time
		if kind = "time"; n.Decode(&t) == nil {
			text = t.Format(time.RFC3339)
		}
	}
	return value{[]byte(text), kind}
}

// boolText is a boolean as the first sops, in Python, wrote it.
func boolText(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// mac is SHA-512 over the values in the order of the document, in capital hex (getsops/sops, sops.go, Tree.Encrypt).
func (o *Opened) mac() string {
	h := sha512.New()
	if o.meta.MACOnlyEncrypted {
		seed := sha256.Sum256([]byte("sops"))
		h.Write(seed[:])
	}
	for _, l := range o.leafs {
		if !o.meta.MACOnlyEncrypted || o.meta.encrypts(l.path) {
			h.Write(o.values[l].plain)
		}
	}
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// Get returns the value of a key, a path with dots.
func (o *Opened) Get(key string) ([]byte, bool) {
	l := o.find(key)
	if l == nil {
		return nil, false
	}
	return slices.Clone(o.values[l].plain), true
}

func (f *File) find(key string) *leaf {
	i := slices.IndexFunc(f.leafs, func(l *leaf) bool { return !l.inList && l.name() == key })
	if i < 0 {
		return nil
	}
	return f.leafs[i]
}

// wrap encrypts a data key to a recipient.
func wrap(key []byte, to string) (recipient, error) {
	r, err := age.ParseX25519Recipient(to)
	if err != nil {
		return recipient{}, fmt.Errorf("%q isn't an age recipient; write age1…, as age-keygen prints", shown(to))
	}
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, r)
	if err != nil {
		return recipient{}, err
	}
	if _, err := w.Write(key); err != nil {
		return recipient{}, err
	}
	return recipient{to, ""}.sealed(&out, errors.Join(w.Close(), a.Close()))
}

func (r recipient) sealed(out *bytes.Buffer, err error) (recipient, error) {
	r.Enc = out.String()
	return r, err
}
