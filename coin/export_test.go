package coin

// ParseKeysetPayload lets the fuzzer past the signature.
var ParseKeysetPayload = parseKeysetPayload

// ParsePrivate lets the fuzzer at the private part of an offer alone.
var ParsePrivate = parsePrivate

// ParseDepositReceipt lets the fuzzer past the signature, and back.
func ParseDepositReceipt(payload []byte) (again []byte, err error) {
	r, err := parseDepositReceipt(payload)
	if err != nil {
		return nil, err
	}
	return r.payload()
}

// ParseHolderReceipt does the same for the other receipt.
func ParseHolderReceipt(payload []byte) (again []byte, err error) {
	r, err := parseHolderReceipt(payload)
	if err != nil {
		return nil, err
	}
	return r.payload()
}

// Encode41 and Decode41 are the base of what stands in pictures.
var (
	Encode41 = encode41
	Decode41 = decode41
)

// LinkDictionary is what a link for pictures is packed with.
const LinkDictionary = linkDictionary
