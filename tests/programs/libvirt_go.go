// Prints what libvirt-go, which uses libvirt's own library, gets from a libvirt.
//
//	libvirt_go URI
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/libvirt/libvirt-go"
)

func main() {
	conn, err := libvirt.NewConnectReadOnly(os.Args[1])
	check(err)
	hostname, err := conn.GetHostname()
	check(err)
	node, err := conn.GetNodeInfo()
	check(err)
	fmt.Println("host", hostname, node.Model, node.Memory, node.Cpus, node.Cores)

	domains, err := conn.ListAllDomains(0)
	check(err)
	for index := range domains {
		domain := &domains[index]
		name, err := domain.GetName()
		check(err)
		info, err := domain.GetInfo()
		check(err)
		fmt.Println(name, info.State, info.MaxMem, info.Memory, info.NrVirtCpu)
		size, err := domain.GetBlockInfo("vda", 0)
		check(err)
		fmt.Println(name, "vda", size.Allocation, size.Capacity, size.Physical)
	}

	stats, err := conn.GetAllDomainStats(nil, 0, 0)
	check(err)
	for _, record := range stats {
		name, err := record.Domain.GetName()
		check(err)
		var groups map[string]interface{}
		text, err := json.Marshal(record)
		check(err)
		check(json.Unmarshal(text, &groups))
		for group, values := range groups {
			if group != "Domain" {
				print(name+" "+group, values)
			}
		}
	}

	_, err = conn.LookupDomainByName("no-such-domain")
	fmt.Println(err)
	for index := range domains {
		check(domains[index].Free())
	}
	_, err = conn.Close()
	check(err)
}

// Prints every value below its path.
func print(path string, values interface{}) {
	switch values := values.(type) {
	case map[string]interface{}:
		for key, value := range values {
			print(path+"."+key, value)
		}
	case []interface{}:
		for index, value := range values {
			print(fmt.Sprintf("%s.%d", path, index), value)
		}
	default:
		fmt.Printf("%s=%v\n", path, values)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
