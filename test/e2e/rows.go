package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/ovn-egress/ovn-egress/pkg/northbound"
)

// Keys of external_ids that say whose a row is: docs/northbound.md.
const (
	ownerController = "k8s.ovn.org/owner-controller"
	ownerName       = "k8s.ovn.org/name"
	epochKey        = "ovn-egress-epoch"
)

// ourTables are the tables of the northbound database that have rows of ours.
var ourTables = []string{"Logical_Router_Policy", "NAT", "QoS", "Address_Set"}

// allTables are those and the tables that rows of ours could disturb.
var allTables = append(slices.Clone(ourTables), "NB_Global", "Logical_Router", "Logical_Router_Port",
	"Logical_Router_Static_Route", "Logical_Switch", "Logical_Switch_Port", "Load_Balancer", "Load_Balancer_Group",
	"Port_Group", "ACL", "Static_MAC_Binding", "DHCP_Options")

// row is a row of the northbound database: strings, numbers, []any for sets, map[string]any for maps.
type row struct {
	table   string
	uuid    string
	columns map[string]any
	holders []holder
}

// holder is a row whose column refers to another row.
type holder struct{ table, name, column string }

// holdingColumns are the columns that refer to rows of ours, by table.
var holdingColumns = map[string][]string{"Logical_Router": {"policies", "nat"}, "Logical_Switch": {"qos_rules"}}

func (r row) externalID(key string) string {
	ids, _ := r.columns["external_ids"].(map[string]any)
	text, _ := ids[key].(string)
	return text
}

func (r row) ours() bool { return r.externalID(ownerController) == northbound.Controller }

// String writes the row without its UUID, the same way for the same content.
func (r row) String() string {
	words := []string{r.table}
	for _, column := range slices.Sorted(maps.Keys(r.columns)) {
		words = append(words, fmt.Sprintf("%s=%v", column, r.columns[column]))
	}
	for _, h := range r.holders {
		words = append(words, "in="+h.name)
	}
	return strings.Join(words, " ")
}

// listRows reads tables of the northbound database in one transaction.
func listRows(ctx context.Context, tables ...string) ([]row, error) {
	arguments := []string{"--format=json"}
	for i, table := range tables {
		if i > 0 {
			arguments = append(arguments, "--")
		}
		arguments = append(arguments, "list", table)
	}
	out, err := bed.Northbound(ctx, arguments...)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	var rows []row
	for _, table := range tables {
		var list struct {
			Headings []string `json:"headings"`
			Data     [][]any  `json:"data"`
		}
		if err := decoder.Decode(&list); err != nil {
			return nil, fmt.Errorf("table %s: %w", table, err)
		}
		for _, values := range list.Data {
			r := row{table: table, columns: map[string]any{}}
			for i, column := range list.Headings {
				if column == "_uuid" {
					r.uuid = fmt.Sprint(plain(values[i]))
				} else {
					r.columns[column] = plain(values[i])
				}
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// plain turns a value in the notation of RFC 7047, section 5.1, into a plain one; sets are ordered.
func plain(value any) any {
	pair, ok := value.([]any)
	if !ok || len(pair) != 2 {
		return value
	}
	switch pair[0] {
	case "uuid":
		return pair[1]
	case "set":
		var set []any
		for _, member := range pair[1].([]any) {
			set = append(set, plain(member))
		}
		slices.SortFunc(set, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return set
	case "map":
		result := map[string]any{}
		for _, entry := range pair[1].([]any) {
			keyValue := entry.([]any)
			result[fmt.Sprint(plain(keyValue[0]))] = plain(keyValue[1])
		}
		return result
	}
	return value
}

// members reads a column that is a set; of one element it is written bare.
func (r row) members(column string) []string {
	set, ok := r.columns[column].([]any)
	if !ok {
		return []string{fmt.Sprint(r.columns[column])}
	}
	texts := make([]string, 0, len(set))
	for _, m := range set {
		texts = append(texts, fmt.Sprint(m))
	}
	return texts
}

// findRows returns the rows of ours that match, with their holders.
func findRows(ctx context.Context, matches func(row) bool) ([]row, error) {
	all, err := listRows(ctx, append(slices.Sorted(maps.Keys(holdingColumns)), ourTables...)...)
	if err != nil {
		return nil, err
	}
	holders := map[string][]holder{}
	for _, r := range all {
		for _, column := range holdingColumns[r.table] {
			for _, uuid := range r.members(column) {
				holders[uuid] = append(holders[uuid], holder{r.table, fmt.Sprint(r.columns["name"]), column})
			}
		}
	}
	var found []row
	for _, r := range all {
		r.holders = holders[r.uuid]
		if r.ours() && matches(r) {
			found = append(found, r)
		}
	}
	return found, nil
}

// ourRows returns the rows of ours, each as a line that also says which router or switch holds it.
func ourRows(ctx context.Context) ([]string, error) {
	rows, err := findRows(ctx, func(row) bool { return true })
	return asLines(rows), err
}

// rowsOf returns the rows of one EgressIP.
func rowsOf(ctx context.Context, egressIP string) ([]string, error) {
	rows, err := findRows(ctx, func(r row) bool { return r.externalID(ownerName) == egressIP })
	return asLines(rows), err
}

func asLines(rows []row) []string {
	result := make([]string, 0, len(rows))
	for _, r := range rows {
		result = append(result, r.String())
	}
	slices.Sort(result)
	return result
}

// destroyRows deletes the rows of ours that match by hand, in one transaction.
func destroyRows(ctx context.Context, matches func(row) bool) {
	GinkgoHelper()
	rows, err := findRows(ctx, matches)
	Expect(err).NotTo(HaveOccurred())
	Expect(rows).NotTo(BeEmpty(), "rows to destroy")
	var arguments []string
	for _, r := range rows {
		if len(r.holders) == 0 {
			arguments = append(arguments, "--", "destroy", r.table, r.uuid)
		}
		for _, h := range r.holders { // a row that nobody holds any more is gone
			arguments = append(arguments, "--", "remove", h.table, h.name, h.column, r.uuid)
		}
	}
	nbctl(ctx, arguments...)
}

// foreignRows returns everything in the database that is not ours, with UUIDs: what others wrote must not even be
// replaced by the same.
func foreignRows(ctx context.Context) ([]string, error) {
	rows, err := listRows(ctx, allTables...)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for _, r := range rows {
		ours[r.uuid] = r.ours()
	}
	var result []string
	for _, r := range rows {
		if r.ours() {
			continue
		}
		r.stripProgress()
		for _, column := range holdingColumns[r.table] {
			r.columns[column] = slices.DeleteFunc(r.members(column), func(uuid string) bool { return ours[uuid] })
		}
		result = append(result, r.uuid+" "+r.String())
	}
	slices.Sort(result)
	return result, nil
}

// progress are the columns by which ovn-northd reports.
var progress = map[string][]string{
	"NB_Global":           {"nb_cfg", "nb_cfg_timestamp", "sb_cfg", "sb_cfg_timestamp", "hv_cfg", "hv_cfg_timestamp"},
	"Logical_Switch_Port": {"up"},
}

// stripProgress removes from a row what ovn-northd writes, and from NB_Global the epoch, which is ours.
func (r row) stripProgress() {
	for _, column := range progress[r.table] {
		delete(r.columns, column)
	}
	if ids, ok := r.columns["external_ids"].(map[string]any); ok {
		delete(ids, epochKey)
	}
}

// nbctl runs ovn-nbctl, which must succeed.
func nbctl(ctx context.Context, arguments ...string) {
	GinkgoHelper()
	_, err := bed.Northbound(ctx, arguments...)
	Expect(err).NotTo(HaveOccurred())
}
