package groupdoc

// ReadContents lets the fuzzer reach the decoder without signing each input.
var ReadContents = readContents
