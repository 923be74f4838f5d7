// Package bench measures what runs across rooms: a payment on a real TPM
// emulator, split into the TPM's part and the host's. Figures of single rooms
// stand beside their code; `make bench` runs them all.
package bench
