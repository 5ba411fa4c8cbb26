package schema

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// PrivateKey returns the one private key of a PEM file in one block, without what else may stand there. Its errors tell
// nothing of the key.
func PrivateKey(b []byte) ([]byte, error) {
	var key []byte
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue // such as EC PARAMETERS
		case strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the private key is encrypted with a passphrase; take that off (openssl pkey): in the repository the value is encrypted as a whole")
		case key != nil:
			return nil, errors.New("the secret holds more than one private key; keep that of the certificate")
		}
		key = pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
	}
	if key == nil {
		return nil, errors.New("the secret holds no private key in PEM form")
	}
	return key, nil
}

// CheckPair returns the first certificate of a chain, or an error where the key isn't that certificate's. The error tells
// nothing of the key.
func CheckPair(chain, key []byte) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, errors.New("the key isn't that of the first certificate of the chain; give keyRef the one that the certificate was issued for")
	}
	return pair.Leaf, nil
}
