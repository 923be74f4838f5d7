package fp256bn

// MulVartime returns [k]a, faster than Mul, in a time that depends on k and
// a: for public values only.
func (a G1) MulVartime(k Scalar) G1 { return MSM1([]G1{a}, []Scalar{k}) }

// MSM1 returns the sum of [scalars[i]]points[i], infinity for none, in a time
// that depends on all of them: for public values only. Short scalars cost less.
// It panics if the slices differ in length.
func MSM1(points []G1, scalars []Scalar) G1 {
	if len(points) != len(scalars) {
		panic("fp256bn: MSM1: points and scalars differ in number")
	}
	terms := make([]Term, len(points))
	for i := range points {
		terms[i] = Term{Point: points[i], Scalar: scalars[i]}
	}
	return Sums1(terms)[0]
}

// MulVartime returns [k]a, faster than Mul, in a time that depends on k and
// a: for public values only.
func (a G2) MulVartime(k Scalar) G2 { return MSM2([]G2{a}, []Scalar{k}) }

// MSM2 returns the sum of [scalars[i]]points[i], infinity for none, in a time
// that depends on all of them: for public values only. Short scalars cost less.
// It panics if the slices differ in length.
func MSM2(points []G2, scalars []Scalar) G2 {
	if len(points) != len(scalars) {
		panic("fp256bn: MSM2: points and scalars differ in number")
	}
	digits := make([]wnaf, len(points))
	tables := make([][wnafEntries]g2Proj, len(points))
	length := 0
	for i := range points {
		w := scalars[i].words()
		digits[i].set(&w, false, wnafWidth)
		length = max(length, digits[i].length)
		tables[i][0].setAffine(&points[i])
		var twice g2Proj
		twice.double(&tables[i][0])
		for j := 1; j < wnafEntries; j++ {
			tables[i][j].add(&tables[i][j-1], &twice)
		}
	}
	var sum, minus g2Proj
	sum.setInfinity()
	for bit := length - 1; bit >= 0; bit-- {
		sum.double(&sum)
		for i := range digits {
			switch d := digits[i].digits[bit]; {
			case d > 0:
				sum.add(&sum, &tables[i][d/2])
			case d < 0:
				sum.add(&sum, minus.neg(&tables[i][-d/2]))
			}
		}
	}
	return sum.affine()
}
