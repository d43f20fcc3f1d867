package northbound

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Layout is how the network plugin named its routers, switches and ports.
type Layout struct {
	ClusterRouter       string // distributed router
	GatewayRouterPrefix string // gateway router: prefix + node
	JoinPortPrefix      string // gateway router's port on the join switch: prefix + gateway router
	ExternalPortPrefix  string // gateway router's port towards the outside: prefix + gateway router
}

// OVNKubernetes is the layout of OVN-Kubernetes.
var OVNKubernetes = Layout{
	ClusterRouter:       "ovn_cluster_router",
	GatewayRouterPrefix: "GR_",
	JoinPortPrefix:      "rtoj-",
	ExternalPortPrefix:  "rtoe-",
}

// GatewayRouter is the name of the node's gateway router.
func (l Layout) GatewayRouter(node string) string { return l.GatewayRouterPrefix + node }

// JoinPort is the name of the node's gateway router port on the join switch.
func (l Layout) JoinPort(node string) string { return l.JoinPortPrefix + l.GatewayRouter(node) }

// ExternalPort is the name of the node's gateway router port towards the outside.
func (l Layout) ExternalPort(node string) string { return l.ExternalPortPrefix + l.GatewayRouter(node) }

// Owner says whose a row is: all rows of one Owner are compiled, compared and written together.
type Owner struct {
	Type string // EgressIP or Zone
	Name string // of the EgressIP; for the zone: egress
}

// ZoneOwner owns the rows that all EgressIPs share.
var ZoneOwner = Owner{Type: "Zone", Name: "egress"}

// EgressIPOwner owns the rows of one EgressIP.
func EgressIPOwner(name string) Owner { return Owner{Type: "EgressIP", Name: name} }

// Keys in external_ids, those of OVN-Kubernetes (spec: owner ids of EgressIP rows), with a controller name of ours.
const (
	keyController = "k8s.ovn.org/owner-controller"
	keyType       = "k8s.ovn.org/owner-type"
	keyName       = "k8s.ovn.org/name"
	keyID         = "k8s.ovn.org/id"
	keyParent     = "parent" // router or switch that holds the row

	// Controller is the owner-controller of every row of ours.
	Controller = "ovn-egress"
)

// ids are the external_ids of a row: role distinguishes the rows of one owner.
func (o Owner) ids(role, parent string) map[string]string {
	m := map[string]string{
		keyController: Controller,
		keyType:       o.Type,
		keyName:       o.Name,
		keyID:         strings.Join([]string{Controller, o.Type, o.Name, role}, ":"),
	}
	if parent != "" {
		m[keyParent] = parent
	}
	return m
}

// ownerOf reads the owner of a row; ok is false for a row that is not ours.
func ownerOf(ids map[string]string) (o Owner, ok bool) {
	return Owner{Type: ids[keyType], Name: ids[keyName]}, ids[keyController] == Controller
}

// setName is the name of an address set: letters, digits, '_' and '.' only, as ovn-sb(5) asks of names that are
// used in a match. The digest keeps apart objects whose names differ in other characters, or late.
func setName(o Owner, role string) string {
	const readable = 40
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, o.Name)
	if len(clean) > readable {
		clean = clean[:readable]
	}
	sum := sha256.Sum256([]byte(o.Type + "/" + o.Name))
	return "egress_" + clean + "_" + hex.EncodeToString(sum[:4]) + "_" + role
}
