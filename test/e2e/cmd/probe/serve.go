package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"time"
)

// serve answers each HTTP request with the client's address as the server sees it, and the server's name.
func serve(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	rest, err := operands(set, args, "PORT", "NAME")
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr: ":" + rest[0], ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.RemoteAddr, rest[1])
		}),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the process ends anyway
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
