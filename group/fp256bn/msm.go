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
	// Two terms for each: [k1]P + [k2]φ(P).
	digits := make([]wnaf, 2*len(points))
	tables := make([][wnafEntries]g1Proj, 2*len(points))
	length := 0
	for i := range points {
		k1, k2 := scalars[i].split()
		digits[2*i].set(k1.abs, k1.negative != 0)
		digits[2*i+1].set(k2.abs, k2.negative != 0)
		length = max(length, digits[2*i].length, digits[2*i+1].length)
		table, images := &tables[2*i], &tables[2*i+1]
		table[0].setAffine(&points[i])
		var twice g1Proj
		twice.double(&table[0])
		for j := 1; j < wnafEntries; j++ {
			table[j].add(&table[j-1], &twice)
		}
		for j := range images {
			images[j].phi(&table[j])
		}
	}
	var sum, minus g1Proj
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
		digits[i].set(scalars[i].words(), false)
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
