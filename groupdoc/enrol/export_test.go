package enrol

// ReadStatement lets the fuzzer reach the decoder without signing each input.
var ReadStatement = readStatement
