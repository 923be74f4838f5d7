// Package fp256bn owns the arithmetic of one pairing-friendly curve: the one
// that TPM 2.0 calls TPM_ECC_BN_P256 and ISO/IEC 15946-5 describes, a
// Barreto–Naehrig curve of prime order
//
//	u = -0x6882F5C030B0A801
//	p = 36u⁴+36u³+24u²+6u+1    base field, 256 bits
//	n = 36u⁴+36u³+18u²+6u+1    order of G1, G2 and GT, 256 bits
//	E:  y² = x³+3        over Fp,  cofactor 1,     generator (1, 2)
//	E': y² = x³+3(1+i)   over Fp2, cofactor 2p-n,  generator P2
//
// with Fp2 = Fp[i]/(i²+1). E' is the sextic twist of M type for ξ = 1+i.
// P2 is the generator of the AMCL library's FP256BN.
//
// Points are values in affine form; the zero value of G1 and of G2 is the
// point at infinity. There are two ways to compute with them.
//
// The methods Add, Sub and Mul go through the complete formulas of Renes,
// Costello and Batina (IACR ePrint 2015/1060, for a = 0), which have no
// exceptional case on a curve of odd order: equal points, opposite points and
// infinity need no branch, and none is there to be forgotten. Affine form is
// paid for with one inversion per operation, 8 µs. Secret scalars go here and
// nowhere else.
//
// [Sums1] is for public values. It computes many sums of multiples at once, in
// Jacobian coordinates, with tables of odd multiples made by affine additions
// under common inversions, non-adjacent forms, and kept tables for points that
// come often ([PrepareG1]). [MSM1] is one such sum. The two ways share nothing
// above the field, and a test holds them apart. Both use the curve's
// endomorphism (glv.go).
//
// The package must never import another package of this module but its own
// fields fp and fr, which are generated.
//
// # Trust
//
// Nothing that comes out of a Parse function, or of [G1FromXY]
// is outside the group it is typed as: the curve is checked, in G2 also the
// order, and infinity has no encoding. Encodings are canonical, one per value.
//
// Constant time means here: the instructions executed and the addresses used
// do not depend on the value. So written are
//
//   - all methods of [Scalar], [ReduceScalar], and [ParseScalar] and
//     [RandomScalar] except for what they report (an error, a retry) and for
//     telling a Scalar never set from others;
//   - Add, Sub, Neg, Mul and Equal of [G1] and [G2], and the encodings of
//     points.
//
// MulVartime, Sums1, MSM1, MSM2, PrepareG1, LiftX, the point parsers, [Prepare]
// and the pairing functions are not, and are for public values only. The guarantee is that of
// the Go source: it rests on the compiler turning math/bits' Mul64, Add64 and
// Sub64 into single instructions, as it does on amd64, arm64, ppc64le, riscv64
// and s390x, and on a processor that multiplies in constant time. Memory is
// not wiped.
//
// The curve gives about 100 bits of security, not 128, since the number field
// sieve for GT improved (Kim and Barbulescu 2016), and none against a quantum
// computer.
//
// # Errors
//
// A refused encoding is [ErrPoint] or [ErrScalar], wrapped with the reason; the
// input is never echoed. Slices of unequal length are a programmer's mistake
// and panic.
//
// # Concurrency
//
// All types are immutable values, or, as [PreparedG1] and [PreparedG2], are
// not written to once made. Everything may be used from several goroutines at once.
package fp256bn
