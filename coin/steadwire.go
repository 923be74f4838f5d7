package coin

import (
	"fmt"

	"github.com/speciecash/specie/group"
)

// SteadJSON is a stead on the wire, bytes as base64url.
type SteadJSON struct {
	Successions []string      `json:"successions"` // compact JWS
	Key         string        `json:"key"`
	Holdings    []HoldingJSON `json:"holdings"`
	Held        []HeldJSON    `json:"held"`
}

// HoldingJSON is a holding on the wire.
type HoldingJSON struct {
	Presentation string `json:"presentation"`
	Key          string `json:"key"`
	Claims       string `json:"claims"`
}

// HeldJSON is a coin's place in the holdings, on the wire.
type HeldJSON struct {
	Holding int    `json:"holding"`
	Claim   int    `json:"claim"`
	Blind   string `json:"blind"`
}

func newSteadJSON(t *Stead) *SteadJSON {
	if t == nil {
		return nil
	}
	j := &SteadJSON{Key: encode64(t.Key[:])}
	for _, jws := range t.Successions {
		j.Successions = append(j.Successions, string(jws))
	}
	for i := range t.Holdings {
		h := &t.Holdings[i]
		j.Holdings = append(j.Holdings, HoldingJSON{
			Presentation: encode64(h.Presentation), Key: encode64(h.Key[:]), Claims: encode64(h.Claims),
		})
	}
	for i := range t.Held {
		at := &t.Held[i]
		j.Held = append(j.Held, HeldJSON{Holding: at.Holding, Claim: at.Claim, Blind: encode64(at.Blind[:])})
	}
	return j
}

// parse reads the wire form, nil for none. Authorisation.check bounds what of
// it is computed with.
func (j *SteadJSON) parse() (*Stead, error) {
	if j == nil {
		return nil, nil
	}
	if len(j.Successions) > MaxSuccessions || len(j.Holdings) > MaxCoins || len(j.Held) > MaxCoins {
		return nil, fmt.Errorf("%w: %d successions, %d holdings, %d coins", ErrTooLarge, len(j.Successions), len(j.Holdings), len(j.Held))
	}
	t := &Stead{}
	if err := (*hash32)(&t.Key).UnmarshalText([]byte(j.Key)); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	for _, jws := range j.Successions {
		t.Successions = append(t.Successions, []byte(jws))
	}
	for i := range j.Holdings {
		h, err := j.Holdings[i].parse()
		if err != nil {
			return nil, fmt.Errorf("holding %d: %w", i, err)
		}
		t.Holdings = append(t.Holdings, *h)
	}
	for i, at := range j.Held {
		var blind hash32
		if err := blind.UnmarshalText([]byte(at.Blind)); err != nil {
			return nil, fmt.Errorf("bound coin %d: %w", i, err)
		}
		t.Held = append(t.Held, Held{Holding: at.Holding, Claim: at.Claim, Blind: group.ClaimBlind(blind)})
	}
	return t, nil
}

func (j *HoldingJSON) parse() (*Holding, error) {
	h := &Holding{}
	var err error
	if h.Presentation, err = decode64(j.Presentation, group.PresentationSize); err != nil {
		return nil, fmt.Errorf("presentation: %w", err)
	}
	if err = (*hash32)(&h.Key).UnmarshalText([]byte(j.Key)); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if h.Claims, err = decode64(j.Claims, MaxHolding*group.BlindedClaimSize); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return h, nil
}
