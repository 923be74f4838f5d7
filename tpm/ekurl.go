package tpm

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"

	"github.com/google/go-tpm/tpm2"
)

// Manufacturers who publish certificates on a server, as TPM_PT_MANUFACTURER has
// them (TCG Vendor ID Registry).
const (
	vendorAMD   = 0x414d4400 // "AMD"
	vendorIntel = 0x494e5443 // "INTC"
)

// vendorURL is where the manufacturer publishes the certificate of an endorsement
// key, empty if that is not known. The rules are those of tpm2_getekcertificate
// (tpm2-tools, tools/tpm2_getekcertificate.c; Intel's agrees with go-attestation's
// and its test vectors): neither manufacturer has published one.
//
//	Intel  base64url, padded, of SHA-256(modulus ‖ 010001), or of SHA-256(x ‖ y)
//	AMD    the first 16 bytes of SHA-256(00002222 ‖ 00010001 ‖ modulus), or of
//	       SHA-256(00004444 ‖ x ‖ y), in hexadecimal
func vendorURL(manufacturer uint32, public []byte) string {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](public)
	if err != nil {
		return ""
	}
	var amd, intel []byte // what each hashes
	if n, err := area.Unique.RSA(); err == nil {
		intel = append(append(intel, n.Buffer...), 1, 0, 1)
		amd = append([]byte{0, 0, 0x22, 0x22, 0, 1, 0, 1}, n.Buffer...)
	} else if q, err := area.Unique.ECC(); err == nil {
		intel = append(append(intel, q.X.Buffer...), q.Y.Buffer...)
		amd = append([]byte{0, 0, 0x44, 0x44}, intel...)
	} else {
		return ""
	}
	switch manufacturer {
	case vendorIntel:
		h := sha256.Sum256(intel)
		return "https://ekop.intel.com/ekcertservice/" + url.QueryEscape(base64.URLEncoding.EncodeToString(h[:]))
	case vendorAMD:
		h := sha256.Sum256(amd)
		return "https://ftpm.amd.com/pki/aia/" + hex.EncodeToString(h[:16])
	}
	return ""
}
