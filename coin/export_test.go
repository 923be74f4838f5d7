package coin

// ParseKeysetPayload lets the fuzzer past the signature.
var ParseKeysetPayload = parseKeysetPayload

// ParsePrivate lets the fuzzer at the private part of an offer alone.
var ParsePrivate = parsePrivate
