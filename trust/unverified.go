package trust

// Unverified returns the payload of a document of type typ that nobody has
// verified: for finding the date in it that it is to be judged by, and for
// nothing else. ErrMalformed, ErrType.
func Unverified(jws []byte, typ string) ([]byte, error) {
	_, payload, err := parse(jws, typ)
	return payload, err
}
