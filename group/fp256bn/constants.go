package fp256bn

import (
	"github.com/speciecash/specie/group/fp256bn/fp"
	"github.com/speciecash/specie/group/fp256bn/fr"
)

// The constants of this file are checked by a test that recomputes them from u
// and ξ with math/big. Field elements are in Montgomery form, words are least
// significant first. None of them is ever written to.

// groupOrder is n.
var groupOrder = [4]uint64{0xf62d536cd10b500d, 0x0cdc65fb1299921a, 0x46e5f25eee71a49e, 0xfffffffffffcf0cd}

// fieldModulus is p.
var fieldModulus = [4]uint64{0xd3292ddbaed33013, 0x0cdc65fb12980a82, 0x46e5f25eee71a49f, 0xfffffffffffcf0cd}

// generator2 is P2 = (x, y) with
//
//	x = fe0c3350b4c96c2028560f577c28913ace1c539a12bf843cd22616b689c09efb +
//	    4ea66057738ac054db5ae1c637d813b924dd78e287d03589d269ed34a37e6a2b·i
//	y = 702046e7c542a3b376770d75124e3e51efcb24758d615848e909b481bedc27ff +
//	    0554e3bcd388c29042eea649297eb29f8b4cbe80821a98b3e01281114aad049b·i
var generator2 = G2{
	x: fp2{
		a0: fp.Element{0xa5f72e512a58e874, 0xd6af39fa50376ba1, 0x75472a8601715d86, 0x249126fcd8059346},
		a1: fp.Element{0xd79d352ed564775b, 0xf18307be18559499, 0x32fa3c090291ce52, 0xf136c243812c839d},
	},
	y: fp2{
		a0: fp.Element{0x5fe22b7200bbc9c4, 0x7f701e818fe171ce, 0x39a1a6dec3e97b52, 0xa1398b3f1774bf60},
		a1: fp.Element{0x53b320fe69ac6026, 0x330f5117400e79ed, 0x0c31a9d2f9d1c1a5, 0xd83ed9be001ca75a},
	},
}

// minusU and minusAte are -u and -(6u+2), both positive, in non-adjacent form,
// least significant digit first.
var (
	minusU = [64]int8{
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1,
		0, 0, 0, 0, -1, 0, -1, 0, 1, 0, 0, 0, -1, 0, 1, 0,
		0, 0, 0, 0, 0, 0, -1, 0, 0, -1, 0, -1, 0, 0, 0, 0,
		-1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, -1, 0, 1,
	}
	minusAte = [66]int8{
		0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0,
		0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, -1, 0,
		0, 1, 0, 0, 1, 0, 0, 0, -1, 0, 1, 0, -1, 0, 0, 1,
		0, 1,
	}
)

// lineCount is the number of lines of a Miller loop: a tangent for every digit
// of minusAte but the leading one, a chord for every digit of these that is
// not 0, and two chords after the loop.
const lineCount = 83

// frobenius1[j] is ξ^(j(p-1)/6), frobenius2[j] is ξ^(j(p²-1)/6).
var (
	frobenius1 = [6]fp2{
		{
			a0: fp.Element{0x2cd6d224512ccfed, 0xf3239a04ed67f57d, 0xb91a0da1118e5b60, 0x0000000000030f32},
			a1: fp.Element{0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000},
		},
		{
			a0: fp.Element{0x77f4336c9f5752e0, 0xe3bdb82d415ee3e9, 0x1db98d9447e2e741, 0x18511e53c29f09a5},
			a1: fp.Element{0x5b34fa6f0f7bdd33, 0x291eadcdd1392699, 0x292c64caa68ebd5d, 0xe7aee1ac3d5de728},
		},
		{
			a0: fp.Element{0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000},
			a1: fp.Element{0xac44103884008c2c, 0x26e76706f524db81, 0x49cc4e27b51eaff8, 0x266648723c3f9cff},
		},
		{
			a0: fp.Element{0x5edcf655589425d3, 0x15149d62cb8ed0c3, 0x1eddc85dd8b38df6, 0x90db7f10803fa480},
			a1: fp.Element{0x5edcf655589425d3, 0x15149d62cb8ed0c3, 0x1eddc85dd8b38df6, 0x90db7f10803fa480},
		},
		{
			a0: fp.Element{0xd91ae25cd52d5c19, 0x1a0b010be28cd0fe, 0x02e65bc8c6ad0b59, 0x266648723c42ac32},
			a1: fp.Element{0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000},
		},
		{
			a0: fp.Element{0xd6d129c1f7eb78b3, 0xf8d255900cedb4ac, 0x3c9755f220967537, 0xa92c9d6442deae25},
			a1: fp.Element{0xfc580419b6e7b760, 0x140a106b05aa55d5, 0x0a4e9c6ccddb2f67, 0x56d3629bbd1e42a8},
		},
	}
	frobenius2 = [6]fp.Element{
		{0x2cd6d224512ccfed, 0xf3239a04ed67f57d, 0xb91a0da1118e5b60, 0x0000000000030f32},
		{0x26e51da32ad2a3e7, 0xe5f4fef41d732f01, 0xfd19a4373952f4a6, 0xd999b78dc3bd53cd},
		{0xfa0e4b7ed9a5d3fa, 0xf2d164ef300b3983, 0x43ff969627c49945, 0xd999b78dc3ba449b},
		{0xa6525bb75da66026, 0x19b8cbf625301505, 0x8dcbe4bddce3493e, 0xfffffffffff9e19a},
		{0xac44103884008c2c, 0x26e76706f524db81, 0x49cc4e27b51eaff8, 0x266648723c3f9cff},
		{0xd91ae25cd52d5c19, 0x1a0b010be28cd0fe, 0x02e65bc8c6ad0b59, 0x266648723c42ac32},
	}
)

// On the twist the p-power map is (x, y) → (twistFrobeniusX·x^p,
// twistFrobeniusY·y^p) with ξ^(-(p-1)/3) and ξ^(-(p-1)/2); its square is
// (x, y) → (twistFrobenius2X·x, -y) with ξ^(-(p²-1)/3).
var (
	twistFrobeniusX = fp2{
		a0: fp.Element{0x0000000000000000, 0x0000000000000000, 0x0000000000000000, 0x0000000000000000},
		a1: fp.Element{0xd91ae25cd52d5c19, 0x1a0b010be28cd0fe, 0x02e65bc8c6ad0b59, 0x266648723c42ac32},
	}
	twistFrobeniusY = fp2{
		a0: fp.Element{0x744c3786563f0a40, 0xf7c7c898470939bf, 0x28082a0115be16a8, 0x6f2480ef7fbd4c4d},
		a1: fp.Element{0x5edcf655589425d3, 0x15149d62cb8ed0c3, 0x1eddc85dd8b38df6, 0x90db7f10803fa480},
	}
	twistFrobenius2X = fp.Element{0xac44103884008c2c, 0x26e76706f524db81, 0x49cc4e27b51eaff8, 0x266648723c3f9cff}
)

// glvBeta is β = -(18u³+18u²+9u+2) and glvLambda is λ = 36u⁴-1, the cube roots
// of 1 in Fp and modulo n with (βx, y) = [λ](x, y). glvMinusB1 and glvMinusB2
// are 2u+1 and 6u²+4u+1 modulo n; glvG1 and glvG2 are (6u²+4u+1)·2^320/n and
// -(2u+1)·2^320/n, rounded.
var (
	glvBeta    = fp.Element{0xac44103884008c2c, 0x26e76706f524db81, 0x49cc4e27b51eaff8, 0x266648723c3f9cff}
	glvLambda  = fr.Element{0xb88bd8a49b1ec851, 0xf5a10d0b68ac01a5, 0x2fa9ac4b5ceb1844, 0x3bd0d094ae571f72}
	glvMinusB1 = fr.Element{0x78187bf2493c494c, 0x26c568dc1143de22, 0xc3f10280a70d39b8, 0x7a67ca223175ef7b}
	glvMinusB2 = fr.Element{0x7d52c1813b5b813c, 0xc7f82f1068e24c64, 0xba8d3b0947c600dc, 0xca13df5cee102cc5}
	glvG1      = [4]uint64{0xca13df5cee129701, 0xf40a1113da9e04d4, 0x0000000000018798, 0x0000000000000001}
	glvG2      = [4]uint64{0x859835ddce889a09, 0xd105eb806163cf7b, 0x0000000000000000, 0x0000000000000000}
)
