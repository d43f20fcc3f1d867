package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is k8s.ovn.org/v1.
var GroupVersion = schema.GroupVersion{Group: "k8s.ovn.org", Version: "v1"}

// AddToScheme registers the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &EgressIP{}, &EgressIPList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
