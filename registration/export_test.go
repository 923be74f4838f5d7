package registration

// NewGate lets a test fill a gate.
var NewGate = newGate

// Enter is gate.enter.
var Enter = (*gate).enter
