package qr

// ReadWithin is Read with another patience.
var ReadWithin = readWithin
