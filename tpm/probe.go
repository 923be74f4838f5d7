package tpm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// maxListed is how many entries of a capability are asked for at once; no TPM
// has as many curves.
const maxListed = 64

// Probe checks that the TPM has what a group key needs: the curve
// TPM_ECC_BN_P256, the scheme TPM_ALG_ECDAA, and TPM2_Commit. If not, the error
// is ErrUnsupported and names all that is missing.
func (d *Device) Probe(ctx context.Context) error {
	return d.use(ctx, "probe TPM", func(s *sequence) error {
		missing, err := s.missing()
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%w: it lacks %s", ErrUnsupported, strings.Join(missing, " and "))
		}
		return err
	})
}

// missing names what a group key needs and the TPM does not have.
func (s *sequence) missing() ([]string, error) {
	var missing []string
	curves, err := s.capability(tpm2.TPMCapECCCurves, 0, maxListed)
	if err != nil {
		return nil, err
	}
	list, err := curves.Data.ECCCurves()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if !slices.Contains(list.ECCCurves, tpm2.TPMECCBNP256) {
		missing = append(missing, "the curve BN_P256")
	}
	ecdaa, err := s.hasAlgorithm(tpm2.TPMAlgECDAA)
	if err != nil {
		return nil, err
	}
	if !ecdaa {
		missing = append(missing, "the signature scheme ECDAA")
	}
	commit, err := s.hasCommand(tpm2.TPMCCCommit)
	if err != nil {
		return nil, err
	}
	if !commit {
		missing = append(missing, "the command TPM2_Commit")
	}
	return missing, nil
}

func (s *sequence) capability(c tpm2.TPMCap, from, count uint32) (*tpm2.TPMSCapabilityData, error) {
	rsp, err := tpm2.GetCapability{Capability: c, Property: from, PropertyCount: count}.Execute(s)
	if err != nil {
		return nil, fmt.Errorf("read capability %#x: %w", uint32(c), err)
	}
	return &rsp.CapabilityData, nil
}

func (s *sequence) hasAlgorithm(alg tpm2.TPMAlgID) (bool, error) {
	data, err := s.capability(tpm2.TPMCapAlgs, uint32(alg), 1)
	if err != nil {
		return false, err
	}
	list, err := data.Data.Algorithms()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return len(list.AlgProperties) > 0 && list.AlgProperties[0].Alg == alg, nil
}

func (s *sequence) hasCommand(cc tpm2.TPMCC) (bool, error) {
	data, err := s.capability(tpm2.TPMCapCommands, uint32(cc), 1)
	if err != nil {
		return false, err
	}
	list, err := data.Data.Command()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return len(list.CommandAttributes) > 0 && uint32(list.CommandAttributes[0].CommandIndex) == uint32(cc), nil
}

// property reads one of the TPM's numeric properties; 0 if it has none such.
func (s *sequence) property(p tpm2.TPMPT) (uint32, error) {
	data, err := s.capability(tpm2.TPMCapTPMProperties, uint32(p), 1)
	if err != nil {
		return 0, err
	}
	list, err := data.Data.TPMProperties()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if len(list.TPMProperty) == 0 || list.TPMProperty[0].Property != p {
		return 0, nil
	}
	return list.TPMProperty[0].Value, nil
}
