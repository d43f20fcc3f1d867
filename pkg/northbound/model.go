package northbound

import (
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// The models name only the columns that are used, so that they fit every OVN release that has those; the types
// are those of ovn-nb(5) and ovn-sb(5).

type nbGlobal struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	NbCfg       int               `ovsdb:"nb_cfg"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type logicalRouter struct {
	UUID string   `ovsdb:"_uuid"`
	Name string   `ovsdb:"name"`
	NAT  []string `ovsdb:"nat"`
}

type logicalRouterPort struct {
	UUID     string   `ovsdb:"_uuid"`
	Name     string   `ovsdb:"name"`
	Networks []string `ovsdb:"networks"`
}

type logicalSwitch struct {
	UUID     string   `ovsdb:"_uuid"`
	Name     string   `ovsdb:"name"`
	QOSRules []string `ovsdb:"qos_rules"`
}

type logicalRouterPolicy struct {
	UUID        string            `ovsdb:"_uuid"`
	Priority    int               `ovsdb:"priority"`
	Match       string            `ovsdb:"match"`
	Action      string            `ovsdb:"action"`
	Nexthops    []string          `ovsdb:"nexthops"`
	Options     map[string]string `ovsdb:"options"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// nat is the NAT table as all releases have it.
type nat struct {
	UUID        string            `ovsdb:"_uuid"`
	Type        string            `ovsdb:"type"`
	ExternalIP  string            `ovsdb:"external_ip"`
	LogicalIP   string            `ovsdb:"logical_ip"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// natWithMatch is the NAT table since OVN 24.09.
type natWithMatch struct {
	UUID        string            `ovsdb:"_uuid"`
	Type        string            `ovsdb:"type"`
	ExternalIP  string            `ovsdb:"external_ip"`
	LogicalIP   string            `ovsdb:"logical_ip"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Match       string            `ovsdb:"match"`
	Priority    int               `ovsdb:"priority"`
}

type qos struct {
	UUID        string            `ovsdb:"_uuid"`
	Priority    int               `ovsdb:"priority"`
	Direction   string            `ovsdb:"direction"`
	Match       string            `ovsdb:"match"`
	Action      map[string]int    `ovsdb:"action"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type addressSet struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Addresses   []string          `ovsdb:"addresses"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type chassisPrivate struct {
	UUID  string `ovsdb:"_uuid"`
	Name  string `ovsdb:"name"`
	NbCfg int    `ovsdb:"nb_cfg"`
}

// Names of tables in ovn-nb(5) and ovn-sb(5).
const (
	tableGlobal         = "NB_Global"
	tableRouter         = "Logical_Router"
	tableRouterPort     = "Logical_Router_Port"
	tableSwitch         = "Logical_Switch"
	tablePolicy         = "Logical_Router_Policy"
	tableNAT            = "NAT"
	tableQoS            = "QoS"
	tableAddressSet     = "Address_Set"
	tableChassisPrivate = "Chassis_Private"

	databaseNB = "OVN_Northbound"
	databaseSB = "OVN_Southbound"
)

// Capabilities is what the schema of the connected database allows. It is read at connect, never configured.
type Capabilities struct {
	// NATMatch says that NAT rows have match and priority (OVN 24.09): one row translates a whole address set.
	// Without it there is a row per pod and address.
	NATMatch bool
	// QoSMark says that QoS rows can set a packet mark (OVN 23.03 cannot, 25.03 can): replies of services with
	// externalTrafficPolicy Local are told apart by it. Without it such replies of selected pods are rerouted.
	QoSMark bool
}

// capabilitiesOf reads the capabilities from a northbound schema.
func capabilitiesOf(schema ovsdb.DatabaseSchema) Capabilities {
	var c Capabilities
	if t := schema.Table(tableNAT); t != nil {
		c.NATMatch = t.Column("match") != nil && t.Column("priority") != nil
	}
	if t := schema.Table(tableQoS); t != nil {
		if action := t.Column("action"); action != nil && action.TypeObj != nil && action.TypeObj.Key != nil {
			for _, key := range action.TypeObj.Key.Enum {
				c.QoSMark = c.QoSMark || key == "mark"
			}
		}
	}
	return c
}

// northboundModel is the client model that fits a schema with the given capabilities.
func northboundModel(c Capabilities) (model.ClientDBModel, error) {
	var natModel model.Model = &nat{}
	if c.NATMatch {
		natModel = &natWithMatch{}
	}
	m, err := model.NewClientDBModel(databaseNB, map[string]model.Model{
		tableGlobal:     &nbGlobal{},
		tableRouter:     &logicalRouter{},
		tableRouterPort: &logicalRouterPort{},
		tableSwitch:     &logicalSwitch{},
		tablePolicy:     &logicalRouterPolicy{},
		tableNAT:        natModel,
		tableQoS:        &qos{},
		tableAddressSet: &addressSet{},
	})
	if err != nil {
		return m, err
	}
	byOwner := []model.ClientIndex{{Columns: []model.ColumnKey{
		{Column: "external_ids", Key: keyController},
		{Column: "external_ids", Key: keyType},
		{Column: "external_ids", Key: keyName},
	}}}
	byName := []model.ClientIndex{{Columns: []model.ColumnKey{{Column: "name"}}}}
	m.SetIndexes(map[string][]model.ClientIndex{
		tablePolicy: byOwner, tableNAT: byOwner, tableQoS: byOwner, tableAddressSet: byOwner,
		tableRouter: byName, tableSwitch: byName,
	})
	return m, nil
}

// southboundModel is the part of the southbound database that the barrier needs.
func southboundModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(databaseSB, map[string]model.Model{tableChassisPrivate: &chassisPrivate{}})
}

// monitor asks for exactly the columns of the model: libovsdb would ask for all that the schema has, and then
// find no field for them.
func monitor(c client.Client, m model.ClientDBModel) *client.Monitor {
	result := c.NewMonitor()
	for name, row := range m.Types() {
		t := client.TableMonitor{Table: name}
		for i := range row.Elem().NumField() {
			if column := row.Elem().Field(i).Tag.Get("ovsdb"); column != "_uuid" {
				t.Fields = append(t.Fields, column)
			}
		}
		result.Tables = append(result.Tables, t)
	}
	return result
}
