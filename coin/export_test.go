package coin

// ParseKeysetPayload lets the fuzzer past the signature.
var ParseKeysetPayload = parseKeysetPayload
