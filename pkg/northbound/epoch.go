package northbound

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// epochKey in NB_Global.external_ids holds the epoch of the writer in charge.
const epochKey = "ovn-egress-epoch"

// ErrFenced says that the database is in another epoch than the writer: another writer took over.
var ErrFenced = errors.New("fenced: the northbound database is in another epoch")

// Epoch reads the epoch of the database; 0 where no writer ever was.
func (d *Database) Epoch(ctx context.Context) (int64, error) {
	g, err := d.global(ctx)
	if err != nil {
		return 0, err
	}
	return epochOf(g)
}

func epochOf(g *nbGlobal) (int64, error) {
	text, ok := g.ExternalIDs[epochKey]
	if !ok {
		return 0, nil
	}
	epoch, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("NB_Global external_ids:%s: %w", epochKey, err)
	}
	return epoch, nil
}

// TakeOver starts an epoch above the database's and above floor, and returns it. Only the holder of the Lease may
// call it. Transactions of earlier epochs are void from then on.
func (d *Database) TakeOver(ctx context.Context, floor int64) (int64, error) {
	g, err := d.global(ctx)
	if err != nil {
		return 0, err
	}
	current, err := epochOf(g)
	if err != nil {
		current = 0 // not a number: somebody wrote nonsense there; it is ours to repair
	}
	next := max(current, floor) + 1
	guard := fence(g, current)
	if _, ok := g.ExternalIDs[epochKey]; !ok || err != nil {
		guard = unchangedName(g)
	}
	entry := stringMap(map[string]string{epochKey: strconv.FormatInt(next, 10)})
	ops := []ovsdb.Operation{guard, {
		Op: ovsdb.OperationMutate, Table: tableGlobal, Where: whereUUID(g.UUID),
		Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, stringSet([]string{epochKey})),
			*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, entry),
		},
	}}
	results, err := d.client.Transact(ctx, ops...)
	if err != nil {
		return 0, fmt.Errorf("northbound take-over: %w", err)
	}
	if len(results) > 0 && results[0].Error != "" {
		return 0, ErrFenced
	}
	if _, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		return 0, fmt.Errorf("northbound take-over: %w", err)
	}
	return next, nil
}

// fence is an operation that fails at once unless the database is in the epoch. It selects the row by the one key
// (comparing all of external_ids would fail when anyone adds another) and then asks for a value that the row has
// anyway.
func fence(g *nbGlobal, epoch int64) ovsdb.Operation {
	op := unchangedName(g)
	op.Where = []ovsdb.Condition{ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes,
		stringMap(map[string]string{epochKey: strconv.FormatInt(epoch, 10)}))}
	return op
}

func unchangedName(g *nbGlobal) ovsdb.Operation {
	now := 0
	return ovsdb.Operation{
		Op: ovsdb.OperationWait, Table: tableGlobal, Timeout: &now, Where: whereUUID(g.UUID),
		Columns: []string{"name"}, Rows: []ovsdb.Row{{"name": g.Name}}, Until: string(ovsdb.WaitConditionEqual),
	}
}
