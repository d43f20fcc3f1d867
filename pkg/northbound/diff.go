package northbound

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Installed is what the database has of one Owner.
type Installed struct {
	Policies []installed[Policy]
	NATs     []installed[NAT]
	QoS      []installed[QoS]
	Sets     []installed[AddressSet]
}

// installed is a row as it is in the database: its value, and the external_ids that it really has.
type installed[T any] struct {
	uuid  string
	ids   map[string]string
	value T
}

// Parents are the logical routers and switches that exist: rows can only be put into those.
type Parents struct {
	Routers  map[string]bool
	Switches map[string]bool
}

// Diff gives the operations that turn what is installed into what is wanted, as few as possible: a changed pod is
// a mutation of its address set. A row whose router or switch does not exist is left out and named in missing.
func Diff(o Owner, want Program, have Installed, parents Parents) (ops []ovsdb.Operation, missing []string) {
	d := differ{owner: o, parents: parents, missing: map[string]bool{}}
	d.sets(want.Sets, have.Sets)
	diffRows(&d, policyTable(parents), want.Policies, have.Policies)
	diffRows(&d, natTable(parents), want.NATs, have.NATs)
	diffRows(&d, qosTable(parents), want.QoS, have.QoS)
	return d.ops, slices.Sorted(maps.Keys(d.missing))
}

type differ struct {
	owner   Owner
	parents Parents
	ops     []ovsdb.Operation
	missing map[string]bool
}

// table describes a kind of row that lives in a column of a parent.
type table[T any] struct {
	name, parentTable, parentColumn string
	exists                          map[string]bool
	role                            func(T) string
	parent                          func(T) string
	row                             func(T) ovsdb.Row
	equal                           func(a, b T) bool
}

func policyTable(p Parents) table[Policy] {
	return table[Policy]{
		name: tablePolicy, parentTable: tableRouter, parentColumn: "policies", exists: p.Routers,
		role:   func(r Policy) string { return r.Role },
		parent: func(r Policy) string { return r.Router },
		row: func(r Policy) ovsdb.Row {
			return ovsdb.Row{
				"priority": r.Priority, "match": r.Match, "action": r.Action,
				"nexthops": stringSet(r.Nexthops), "options": stringMap(r.Options),
			}
		},
		equal: func(a, b Policy) bool {
			return a.Priority == b.Priority && a.Match == b.Match && a.Action == b.Action &&
				slices.Equal(a.Nexthops, b.Nexthops) && maps.Equal(a.Options, b.Options)
		},
	}
}

func natTable(p Parents) table[NAT] {
	return table[NAT]{
		name: tableNAT, parentTable: tableRouter, parentColumn: "nat", exists: p.Routers,
		role:   func(r NAT) string { return r.Role },
		parent: func(r NAT) string { return r.Router },
		row: func(r NAT) ovsdb.Row {
			row := ovsdb.Row{"type": "snat", "external_ip": r.ExternalIP, "logical_ip": r.LogicalIP}
			if r.Match != "" {
				row["match"], row["priority"] = r.Match, r.Priority
			}
			return row
		},
		equal: func(a, b NAT) bool {
			return a.ExternalIP == b.ExternalIP && a.LogicalIP == b.LogicalIP && a.Match == b.Match && a.Priority == b.Priority
		},
	}
}

func qosTable(p Parents) table[QoS] {
	return table[QoS]{
		name: tableQoS, parentTable: tableSwitch, parentColumn: "qos_rules", exists: p.Switches,
		role:   func(r QoS) string { return r.Role },
		parent: func(r QoS) string { return r.Switch },
		row: func(r QoS) ovsdb.Row {
			return ovsdb.Row{
				"priority": r.Priority, "match": r.Match, "direction": "from-lport",
				"action": ovsdb.OvsMap{GoMap: map[any]any{"mark": r.Mark}},
			}
		},
		equal: func(a, b QoS) bool { return a.Priority == b.Priority && a.Match == b.Match && a.Mark == b.Mark },
	}
}

// diffRows compares the rows of one table by role and parent.
func diffRows[T any](d *differ, t table[T], want []T, have []installed[T]) {
	left := make(map[string][]installed[T], len(have)) // role and parent -> rows with it; more than one is a duplicate
	key := func(role, parent string) string { return role + "\x00" + parent }
	for _, h := range have {
		k := key(h.ids[keyID], h.ids[keyParent])
		left[k] = append(left[k], h)
	}
	for _, w := range want {
		ids := d.owner.ids(t.role(w), t.parent(w))
		k := key(ids[keyID], ids[keyParent])
		if same := left[k]; len(same) > 0 {
			left[k] = same[1:]
			if !t.equal(same[0].value, w) || !maps.Equal(same[0].ids, ids) {
				d.update(t.name, same[0].uuid, t.row(w), ids)
			}
			continue
		}
		if !t.exists[t.parent(w)] {
			d.missing[t.parentTable+" "+t.parent(w)] = true
			continue
		}
		d.insertInto(t.name, t.parentTable, t.parentColumn, t.parent(w), t.row(w), ids)
	}
	for _, k := range slices.Sorted(maps.Keys(left)) {
		for _, h := range left[k] {
			d.ops = append(d.ops, ovsdb.Operation{
				Op: ovsdb.OperationMutate, Table: t.parentTable,
				Where: []ovsdb.Condition{ovsdb.NewCondition(t.parentColumn, ovsdb.ConditionIncludes, uuidSet(h.uuid))},
				Mutations: []ovsdb.Mutation{
					*ovsdb.NewMutation(t.parentColumn, ovsdb.MutateOperationDelete, uuidSet(h.uuid)),
				},
			})
		}
	}
}

// sets compares address sets by name; members are added and removed one by one, which OVN handles incrementally.
func (d *differ) sets(want []AddressSet, have []installed[AddressSet]) {
	left := make(map[string]installed[AddressSet], len(have)) // name -> row
	for _, h := range have {
		left[h.value.Name] = h
	}
	for _, w := range want {
		ids := d.owner.ids(w.Role, "")
		h, ok := left[w.Name]
		delete(left, w.Name)
		if !ok {
			d.insert(tableAddressSet, ovsdb.Row{"name": w.Name, "addresses": stringSet(w.Members)}, ids)
			continue
		}
		if !maps.Equal(h.ids, ids) {
			d.update(tableAddressSet, h.uuid, ovsdb.Row{}, ids)
		}
		added, removed := membersChanged(h.value.Members, w.Members)
		d.mutateSet(h.uuid, ovsdb.MutateOperationDelete, removed)
		d.mutateSet(h.uuid, ovsdb.MutateOperationInsert, added)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		d.ops = append(d.ops, ovsdb.Operation{
			Op: ovsdb.OperationDelete, Table: tableAddressSet, Where: whereUUID(left[name].uuid),
		})
	}
}

func (d *differ) mutateSet(uuid string, mutator ovsdb.Mutator, members []string) {
	if len(members) == 0 {
		return
	}
	d.ops = append(d.ops, ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: tableAddressSet, Where: whereUUID(uuid),
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation("addresses", mutator, stringSet(members))},
	})
}

func (d *differ) update(table, uuid string, row ovsdb.Row, ids map[string]string) {
	row["external_ids"] = stringMap(ids)
	d.ops = append(d.ops, ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Where: whereUUID(uuid), Row: row})
}

func (d *differ) insert(table string, row ovsdb.Row, ids map[string]string) {
	row["external_ids"] = stringMap(ids)
	d.ops = append(d.ops, ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, Row: row})
}

// insertInto inserts a row and puts it into its parent: a row that nothing refers to is deleted by ovsdb-server.
func (d *differ) insertInto(table, parentTable, parentColumn, parent string, row ovsdb.Row, ids map[string]string) {
	d.insert(table, row, ids)
	symbol := fmt.Sprintf("%s_%s_%d", d.owner.Type, setName(d.owner, "row"), len(d.ops))
	d.ops[len(d.ops)-1].UUIDName = symbol
	d.ops = append(d.ops, ovsdb.Operation{
		Op: ovsdb.OperationMutate, Table: parentTable,
		Where:     []ovsdb.Condition{ovsdb.NewCondition("name", ovsdb.ConditionEqual, parent)},
		Mutations: []ovsdb.Mutation{*ovsdb.NewMutation(parentColumn, ovsdb.MutateOperationInsert, uuidSet(symbol))},
	})
}

// membersChanged compares two sorted lists.
func membersChanged(have, want []string) (added, removed []string) {
	i, j := 0, 0
	for i < len(have) || j < len(want) {
		switch {
		case j == len(want) || i < len(have) && have[i] < want[j]:
			removed = append(removed, have[i])
			i++
		case i == len(have) || have[i] > want[j]:
			added = append(added, want[j])
			j++
		default:
			i++
			j++
		}
	}
	return added, removed
}

func whereUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

func uuidSet(uuid string) ovsdb.OvsSet {
	return ovsdb.OvsSet{GoSet: []any{ovsdb.UUID{GoUUID: uuid}}}
}

func stringSet(values []string) ovsdb.OvsSet {
	set := ovsdb.OvsSet{GoSet: make([]any, 0, len(values))}
	for _, v := range values {
		set.GoSet = append(set.GoSet, v)
	}
	return set
}

func stringMap(values map[string]string) ovsdb.OvsMap {
	m := ovsdb.OvsMap{GoMap: make(map[any]any, len(values))}
	for k, v := range values {
		m.GoMap[k] = v
	}
	return m
}
