package cluster

import (
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig stores a kubeconfig with one context for one user of one server.
func writeKubeconfig(path, server string, ca []byte, user *api.AuthInfo) error {
	const name = "netcluster"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = user
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}

func withCertificate(i *identity) *api.AuthInfo {
	return &api.AuthInfo{ClientCertificateData: i.certificate, ClientKeyData: i.key}
}

// RESTConfig is for clients with the administrator's rights on the machine itself.
func (s *State) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", s.Name, err)
	}
	// Tests and the command line make a few requests at once; the default of five a second would hold them up.
	config.QPS, config.Burst = 200, 400
	return config, nil
}

func (s *State) client() (kubernetes.Interface, error) {
	config, err := s.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", s.Name, err)
	}
	return client, nil
}
