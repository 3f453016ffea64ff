// Prints what digitalocean/go-libvirt, which speaks libvirt's protocol itself, gets from a libvirt.
//
//	go_libvirt SOCKET URI
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"
)

func main() {
	conn := libvirt.NewWithDialer(dialers.NewLocal(dialers.WithSocket(os.Args[1])))
	check(conn.ConnectToURI(libvirt.ConnectURI(os.Args[2])))

	version, err := conn.ConnectGetLibVersion()
	check(err)
	hostname, err := conn.ConnectGetHostname()
	check(err)
	_, memory, cpus, _, nodes, sockets, cores, threads, err := conn.NodeGetInfo()
	check(err)
	fmt.Println("host", version, hostname, memory, cpus, nodes, sockets, cores, threads)

	domains, count, err := conn.ConnectListAllDomains(1, 0)
	check(err)
	fmt.Println("domains", count, len(domains))
	for _, domain := range domains {
		state, reason, err := conn.DomainGetState(domain, 0)
		check(err)
		_, most, memory, vcpus, _, err := conn.DomainGetInfo(domain)
		check(err)
		fmt.Println(domain.Name, domain.ID, fmt.Sprintf("%x", domain.UUID), state, reason, most, memory, vcpus)
		description, err := conn.DomainGetXMLDesc(domain, 0)
		check(err)
		fmt.Println(domain.Name, "description", len(description))
		same, err := conn.DomainLookupByUUID(domain.UUID)
		check(err)
		if same != domain {
			log.Fatal(same, " is not ", domain)
		}
		for _, disk := range []string{"vda", "vdz"} {
			reads, bytes, writes, written, errors, err := conn.DomainBlockStats(domain, disk)
			fmt.Println(domain.Name, disk, reads, bytes, writes, written, errors, err)
			allocation, capacity, physical, err := conn.DomainGetBlockInfo(domain, disk, 0)
			fmt.Println(domain.Name, disk, allocation, capacity, physical, err)
		}
	}

	all, err := conn.ConnectGetAllDomainStats(nil, 0, 0)
	check(err)
	listed, err := conn.ConnectGetAllDomainStats(domains, uint32(libvirt.DomainStatsBlock), 0)
	check(err)
	for _, record := range append(all, listed...) {
		for _, param := range record.Params {
			fmt.Printf("%s %s=%v\n", record.Dom.Name, param.Field, param.Value.I)
		}
	}

	_, err = conn.DomainLookupByName("no-such-domain")
	fmt.Println(err, libvirt.IsNotFound(err))
	check(conn.Disconnect())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
