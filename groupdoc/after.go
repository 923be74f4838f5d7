package groupdoc

import "fmt"

// WarrantHead is where a manager's register of warrants stands: how many
// entries, and the hash of the last one, zeros if there is none. Package
// groupdoc/warrant knows what is in it.
type WarrantHead struct {
	Size uint64
	Head [32]byte
}

type warrantHeadJSON struct {
	Size uint64 `json:"size"`
	Head string `json:"head"`
}

func (h WarrantHead) json() *warrantHeadJSON {
	if h == (WarrantHead{}) {
		return nil
	}
	return &warrantHeadJSON{Size: h.Size, Head: encode(h.Head[:])}
}

func (j *warrantHeadJSON) parse() (h WarrantHead, err error) {
	if j == nil {
		return h, nil
	}
	if j.Size == 0 || j.Size > maxNumber {
		return h, fmt.Errorf("%w: register of %d warrants", ErrMalformed, j.Size)
	}
	b, err := decode("head of the register of warrants", j.Head, len(h.Head))
	if err != nil {
		return h, err
	}
	h.Size = j.Size
	copy(h.Head[:], b)
	return h, nil
}

// Mark is what a reader remembers of a document so that he takes none from
// before: all that After compares. It is JSON where it is kept.
type Mark struct {
	Group    string      `json:"group"` // the group's id, base64url
	Seq      uint64      `json:"seq"`
	Digest   [32]byte    `json:"digest"`
	Warrants WarrantHead `json:"warrants"`
}

// Mark returns the document's.
func (d *Document) Mark() Mark {
	id := d.GroupID()
	return Mark{Group: encode(id[:]), Seq: d.Seq, Digest: d.Digest, Warrants: d.Warrants}
}

// After says whether the document may take the place of one that the caller
// has seen before, of the same group: its number is no lower, one number
// stands for one document, and its register of warrants has not lost an
// entry. A document from before is ErrRollback. That what the register held
// is still in it, only its entries can show (package groupdoc/warrant).
func (d *Document) After(seen *Document) error { return d.AfterMark(seen.Mark()) }

// AfterMark is After for a reader who kept a mark only.
func (d *Document) AfterMark(seen Mark) error {
	own := d.Mark()
	switch {
	case own.Group != seen.Group:
		return fmt.Errorf("%w: not the group that is known as %s", ErrGroup, d.ID)
	case own.Seq < seen.Seq:
		return fmt.Errorf("%w: number %d, where %d has been seen", ErrRollback, own.Seq, seen.Seq)
	case own.Seq == seen.Seq && own.Digest != seen.Digest:
		return fmt.Errorf("%w: another document with number %d", ErrRollback, own.Seq)
	case own.Warrants.Size < seen.Warrants.Size, own.Warrants.Size == seen.Warrants.Size && own.Warrants.Head != seen.Warrants.Head:
		return fmt.Errorf("%w: its register of warrants is another than the one seen", ErrRollback)
	}
	return nil
}
