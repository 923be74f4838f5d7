package ledger

import "time"

// WriterStats are what a store's writer has done since it was opened.
type WriterStats struct {
	// Sizes counts the batches by how many calls were in them, Times by how
	// long they took, cumulatively as Prometheus does.
	Sizes, Times Histogram
	// Waiting is how many calls wait for the writer now.
	Waiting int
}

// Histogram counts values in buckets: Counts[i] are those up to Bounds[i].
type Histogram struct {
	Bounds []float64
	Counts []uint64
	Count  uint64 // of all
	Sum    float64
}

// BatchBounds are the bounds of WriterStats.Sizes, in calls.
func BatchBounds() []float64 { return []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512} }

// CommitBounds are the bounds of WriterStats.Times, in seconds.
func CommitBounds() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
}

// Quantile estimates the value that a share q of all, between 0 and 1, does not
// pass, as Prometheus does: values lie evenly within a bucket, and what lies
// beyond the last bound is that bound. Zero of none.
func (h *Histogram) Quantile(q float64) float64 {
	if h.Count == 0 {
		return 0
	}
	rank, lower := q*float64(h.Count), 0.0
	var below uint64
	for i, bound := range h.Bounds {
		if n := h.Counts[i]; n > below && float64(n) >= rank {
			return lower + (bound-lower)*(rank-float64(below))/float64(n-below)
		}
		below, lower = h.Counts[i], bound
	}
	return lower
}

// Add counts a value.
func (h *Histogram) Add(v float64) {
	if h.Counts == nil {
		h.Counts = make([]uint64, len(h.Bounds))
	}
	for i, bound := range h.Bounds {
		if v <= bound {
			h.Counts[i]++
		}
	}
	h.Count++
	h.Sum += v
}

// AddBatch counts a batch of calls.
func (s *WriterStats) AddBatch(calls int, took time.Duration) {
	s.Sizes.Add(float64(calls))
	s.Times.Add(took.Seconds())
}
