// Package northbound is the rows that ovn-egress owns in an OVN northbound database: which there must be
// (compile), what changes them from what is there (diff), and the transaction that does it (apply).
//
// Everything that decides is a pure function of plain values: CompileEgressIP and CompileZone give a Program,
// Diff turns two of them into operations. Database is the only type that talks to ovsdb-server.
//
// Rows of ours carry external_ids with owner-controller "ovn-egress" (see Owner). A row without them is not ours
// and is never changed. Formats: ovn-nb(5), ovn-architecture(7).
package northbound
