// Package devbox owns a whole Specie in one directory on one machine: SoftHSM
// tokens, the ceremonies run from plan files, configurations, the daemons as
// processes of their own, and emulated TPMs. `make demo`, `make dev` and the
// end-to-end tests stand on it.
//
// Nothing in it is faked: it writes the files that an operator would write
// and runs the programs that he would run. It is for development: the tokens
// and TPMs are software, and all PINs lie beside them in files of mode 0600.
//
// # Concurrency
//
// A Box is for one goroutine, but for ClearTPM, which another may call.
package devbox
