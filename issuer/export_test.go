package issuer

// ReadFlowsBy sets how many records of a journal one query adds up.
func (b *Bank) ReadFlowsBy(portion uint64) { b.figures.book.portion = portion }
