package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// GroupDocument fetches a group manager's signed document (compact JWS) from
// his REST address. It verifies nothing: see groupdoc.Parse.
func GroupDocument(ctx context.Context, hc *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/v1/group", nil)
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("group manager: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, ReadProblem(resp, body)
	}
	return ReadGroupDocument(body)
}

// ReadGroupDocument reads the body of the group manager's answer.
func ReadGroupDocument(body []byte) ([]byte, error) {
	var a struct {
		Document string `json:"document"`
	}
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("group manager: %w: %d bytes", ErrAnswer, len(body))
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Document == "" {
		return nil, fmt.Errorf("group manager: %w: no document in it", ErrAnswer)
	}
	return []byte(a.Document), nil
}
