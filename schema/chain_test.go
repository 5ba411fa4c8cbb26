package schema

import (
	"encoding/pem"
	"strings"
	"testing"
)

// FuzzParseChain: whatever is in the file, what comes out is certificates alone, as they are written to a load balancer,
// and the same when it is read again.
func FuzzParseChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("text\r\n-----BEGIN PRIVATE KEY-----\r\nAAAA\r\n-----END PRIVATE KEY-----"))
	f.Add([]byte(oneCertificate))
	f.Add([]byte("x\r\n" + strings.ReplaceAll(oneCertificate, "\n", "\r\n") + oneCertificate))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseChain(b)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Fatalf("a message of several lines: %q", err)
			}
			return
		}
		again, err := parseChain([]byte(c.pem))
		if err != nil || again.pem != c.pem {
			t.Fatalf("it isn't the same when read again: %v", err)
		}
		for rest := []byte(c.pem); len(rest) > 0; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
				t.Fatal("it holds more than certificates")
			}
		}
		if strings.Contains(c.pem, "\n\n") {
			t.Fatal("an empty line would end a command of HAProxy")
		}
	})
}

// oneCertificate is a certificate of nobody.
const oneCertificate = `-----BEGIN CERTIFICATE-----
MIIBojCCAUegAwIBAgIUL6cU4FvZvEuPOEt4HY4egXvoU9YwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNb25lLmFjbWUudGVzdDAgFw0yNjExMjMwNTE5MjNaGA8yMTI2
MTAzMDA1MTkyM1owGDEWMBQGA1UEAwwNb25lLmFjbWUudGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABGdnKbMIbK8VD8eQWxe4aO+6F6vDFYdjXljYNykf5Auy
z6Rv6uVOkRnjaf4X760q8EOVmKoB+XGzTV2oJYilNPejbTBrMB0GA1UdDgQWBBRx
Sm90JLonH7T9B8k48N1h3+DsnjAfBgNVHSMEGDAWgBRxSm90JLonH7T9B8k48N1h
3+DsnjAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDW9uZS5hY21lLnRlc3Qw
CgYIKoZIzj0EAwIDSQAwRgIhAKx6O850wsyq4KkhCmG2CWI1vwjg+xljy0hGVg/7
kSeUAiEAuM9SgWYH0lHG7MFXjNs1V7JzHLFshrMiL2Lud10cR8I=
-----END CERTIFICATE-----
`
