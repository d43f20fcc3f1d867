package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// get asks an HTTP server, with a connection of its own each time.
func get(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("get", flag.ContinueOnError)
	count := set.Int("count", 1, "how many times")
	timeout := set.Duration("timeout", 2*time.Second, "of each request")
	insecure := set.Bool("insecure", false, "do not verify the server's certificate")
	rest, err := operands(set, args, "URL")
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: *timeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: *insecure}, // of the tests' own server
	}}
	for range *count {
		if err := getOnce(ctx, client, rest[0], os.Stdout); err != nil {
			return err
		}
	}
	return nil
}

// getOnce prints the body of one answer, which must be a success.
func getOnce(ctx context.Context, client *http.Client, url string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	fmt.Fprintln(out, strings.TrimSpace(string(body)))
	return nil
}
