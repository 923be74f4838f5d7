package enrol

// ReadStatement lets the fuzzer reach the decoder without signing each input.
var ReadStatement = readStatement

// ReadSuccession is that for successions.
var ReadSuccession = readSuccession
