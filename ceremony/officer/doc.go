// Package officer owns what one supervisor keeps and does: his signing key,
// his encryption key, his share of a group's opening and tracing secrets, and
// the files by which n of them generate those secrets together.
//
// It needs no HSM and no network: an officer works on his own offline machine
// and exchanges files. It imports group, groupdoc (with warrant), trust, frame,
// ceremony/paper and ceremony/transcript, and must never import ceremony, hsm or opening.
//
// # The distributed key generation
//
//	Create    keys and a certificate request        root certifies (ceremony "certify")
//	Accept    the certificate; publishes a card     card: id and age recipient, signed
//	Deal      two random polynomials of degree k-1  dealing: commitments and n encrypted
//	                                                shares, signed
//	Combine   own share from n dealings             payload: the group's public keys
//	Sign      the payload, after comparing digests  one JWS of the supervision document
//
// Indices follow the alphabetical order of the officers' ids, so nobody hands
// them out. The secrets o and o2 are sums over all dealings: no machine ever
// holds one, and k-1 officers together know nothing about them (Feldman 1987;
// Pedersen 1991). The last dealer can influence some bits of the public key
// by waiting for the others (Gennaro et al. 1999), which gives him no secret:
// he must prove that he knows his own part.
//
// # Trust
//
// Cards and dealings are signed under certificates that lead to the pinned
// root, so whoever carries the files can neither read a share nor put a
// recipient of his own in an officer's place. A dealer who sends a share that
// contradicts his commitments is named. Every officer signs the outcome, and
// the document counts only with all n signatures over the same bytes.
//
// Private keys lie in one file of mode 0600, encrypted with a passphrase if
// one is given; shares are always encrypted to the officer.
//
// # Errors
//
// Refusals wrap one of the Err variables here, or those of trust, group,
// groupdoc and paper.
//
// # Concurrency
//
// An Officer may be used from one goroutine at a time.
package officer
