// Package words owns how 32 secret bytes are written down as words, and how what
// a person typed is read again: a mistake is not only noticed, it is said which
// word it is.
//
// The words are of the English list of BIP 39 (2,048 words; the first four letters
// tell them apart). The first 24 are the mnemonic that BIP 39 gives to the bytes:
// 256 bits and 8 of their SHA-256. Two more follow, such that for the 26 numbers w
// of the words in the list, as elements of GF(2^11) = GF(2)[a]/(a^11 + a^2 + 1),
//
//	w0 + w1 + … + w25 = 0   and   w0 + w1·a + w2·a² + … + w25·a^25 = 0,
//
// which is a Reed–Solomon code of distance 3. So
//
//   - one wrong word is found and put right, wherever it is;
//   - two words in each other's place leave the first sum alone, which no wrong
//     word does: they are found, too;
//   - one or two words that are not in the list are found out from the others;
//   - a word that is missing, or one too many, is found.
//
// Worse than that is refused: the checks have 30 bits in all, of which finding one
// wrong word among 26 places spends some 16.
//
// # Trust
//
// Whoever has the words has the bytes. [Error] quotes what was typed and what the
// word should be: it is for the terminal of who typed it, not for a log.
//
// # Errors
//
// [ErrWords], matched with errors.Is; it is always an *[Error].
//
// # Concurrency
//
// All functions may be called from several goroutines at once.
//
// The package is pure and imports nothing of Specie.
package words
