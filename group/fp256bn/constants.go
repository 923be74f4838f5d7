package fp256bn

import "github.com/speciecash/specie/group/fp256bn/fp"

// The constants of this file are checked by a test that recomputes them from u
// and ξ with math/big. Field elements are in Montgomery form, words are least
// significant first. None of them is ever written to.

// groupOrder is n.
var groupOrder = [4]uint64{0xf62d536cd10b500d, 0x0cdc65fb1299921a, 0x46e5f25eee71a49e, 0xfffffffffffcf0cd}

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
