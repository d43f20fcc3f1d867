// Package vswitch follows what ovn-controller reports in the node's own Open vSwitch database: which northbound
// configuration the chassis has installed.
//
// ovn-controller writes it into external_ids of the integration bridge (ovn-controller(8)), right when Open vSwitch
// has confirmed the flows. That needs no connection to the southbound database, is the earliest place to learn of it,
// and works while enable_chassis_nb_cfg_update is off.
package vswitch
