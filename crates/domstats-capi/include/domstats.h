/*
 * libdomstats: the statistics of every virtual machine of a host in one call that returns on time,
 * whatever the machines do.
 *
 * These are the functions of libvirt's RFC "Introduce API for retrieving bulk domain stats" (2014),
 * and the functions that a program needs with them, with libvirt's names, semantics and error
 * numbers. Names that begin with "domstats" are not libvirt's. Compile with the flags of
 * `pkg-config --cflags --libs domstats`.
 *
 * Pointers: an argument that is NULL, was closed or freed, or is of another kind is an error, never
 * a crash. Release `char *` results with free(), but not `const char *` results.
 *
 * Errors: the return value of a function tells whether it failed; virGetLastError returns the reason
 * in the same thread. Nothing is printed.
 *
 * Threads: all functions are thread-safe.
 */


#ifndef DOMSTATS_H
#define DOMSTATS_H

/* libvirt's headers declare the same names with other arguments. */
#if defined(LIBVIRT_H) || defined(LIBVIRT_VIRTERROR_H)
# error "a source file cannot include both <domstats.h> and libvirt's headers: their functions have the same names"
#endif
#if defined(__GNUC__) /* Rejects them after this header too. */
# pragma GCC poison LIBVIRT_H LIBVIRT_VIRTERROR_H
#endif


/**
 * The number of bytes that virDomainGetUUIDString writes, including the final zero.
 */
#define VIR_UUID_STRING_BUFLEN 37

/**
 * No error.
 */
#define VIR_ERR_OK 0

/**
 * Something that should not happen did.
 */
#define VIR_ERR_INTERNAL_ERROR 1

/**
 * Out of memory.
 */
#define VIR_ERR_NO_MEMORY 2

/**
 * The driver has no such function.
 */
#define VIR_ERR_NO_SUPPORT 3

/**
 * No driver serves the URI.
 */
#define VIR_ERR_NO_CONNECT 5

/**
 * The pointer is not a connection: it is NULL, was closed, or is something else.
 */
#define VIR_ERR_INVALID_CONN 6

/**
 * The pointer is not a domain: it is NULL, was freed, or is something else.
 */
#define VIR_ERR_INVALID_DOMAIN 7

/**
 * An argument makes no sense: NULL, an empty list, an unknown flag, a malformed URI.
 */
#define VIR_ERR_INVALID_ARG 8

/**
 * A document or reply could not be parsed.
 */
#define VIR_ERR_XML_ERROR 27

/**
 * The operating system reported an error, or no libvirt daemon can be reached.
 */
#define VIR_ERR_SYSTEM_ERROR 38

/**
 * A daemon violated its protocol.
 */
#define VIR_ERR_RPC 39

/**
 * TLS failed, most often because one side does not trust the other.
 */
#define VIR_ERR_GNUTLS_ERROR 40

/**
 * No domain has that name, UUID or id.
 */
#define VIR_ERR_NO_DOMAIN 42

/**
 * The daemon did not accept the credentials.
 */
#define VIR_ERR_AUTH_FAILED 45

/**
 * The domain has no such property: a QEMU started by hand may have no UUID. Or several domains have
 * the name or UUID.
 */
#define VIR_ERR_OPERATION_INVALID 55

/**
 * The deadline passed.
 */
#define VIR_ERR_OPERATION_TIMEOUT 68

/**
 * A group is not supported, and VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS was given.
 */
#define VIR_ERR_ARGUMENT_UNSUPPORTED 74

/**
 * The caller lacks the permission.
 */
#define VIR_ERR_ACCESS_DENIED 88

/**
 * The library itself, before a driver was involved.
 */
#define VIR_FROM_NONE 0

/**
 * The check of a domain's pointer.
 */
#define VIR_FROM_DOM 6

/**
 * The connection to a libvirt daemon.
 */
#define VIR_FROM_RPC 7

/**
 * The QEMU driver.
 */
#define VIR_FROM_QEMU 10

/**
 * The test driver.
 */
#define VIR_FROM_TEST 12

/**
 * The driver for libvirt daemons.
 */
#define VIR_FROM_REMOTE 13

/**
 * The checks of the other arguments.
 */
#define VIR_FROM_DOMAIN 20

/**
 * Authentication.
 */
#define VIR_FROM_AUTH 46

/**
 * The Virtuozzo driver of a libvirt daemon.
 */
#define VIR_FROM_PARALLELS 48

/**
 * The access rules of a libvirt daemon.
 */
#define VIR_FROM_ACCESS 55

/**
 * polkit.
 */
#define VIR_FROM_POLKIT 60

/**
 * The level of every error of this library.
 */
#define VIR_ERR_ERROR 2

/**
 * State and its reason.
 */
#define VIR_DOMAIN_STATS_STATE 1

/**
 * CPU time of the whole domain, and its CPU monitors.
 */
#define VIR_DOMAIN_STATS_CPU_TOTAL 2

/**
 * Memory: balloon, guest statistics, resident set.
 */
#define VIR_DOMAIN_STATS_BALLOON 4

/**
 * Each vCPU.
 */
#define VIR_DOMAIN_STATS_VCPU 8

/**
 * Each network interface, seen from the guest.
 */
#define VIR_DOMAIN_STATS_INTERFACE 16

/**
 * Each disk.
 */
#define VIR_DOMAIN_STATS_BLOCK 32

/**
 * Performance counters of the host.
 */
#define VIR_DOMAIN_STATS_PERF 64

/**
 * Each iothread.
 */
#define VIR_DOMAIN_STATS_IOTHREAD 128

/**
 * Memory bandwidth monitors.
 */
#define VIR_DOMAIN_STATS_MEMORY 256

/**
 * The last measurement of the dirty rate.
 */
#define VIR_DOMAIN_STATS_DIRTYRATE 512

/**
 * Hypervisor statistics of the domain.
 */
#define VIR_DOMAIN_STATS_VM 1024

/**
 * Each crypto device, only if requested. libvirt lacks it: 0 does not include it.
 */
#define DOMSTATS_CRYPTODEV 33554432

/**
 * The RFC's group for CPUs: VIR_DOMAIN_STATS_CPU_TOTAL and VIR_DOMAIN_STATS_VCPU.
 */
#define VIR_DOMAIN_STATS_CPU 10

/**
 * Domains that have a process.
 */
#define VIR_CONNECT_LIST_DOMAINS_ACTIVE 1

/**
 * Domains that are defined but have no process.
 */
#define VIR_CONNECT_LIST_DOMAINS_INACTIVE 2

/**
 * Domains that stay defined when they stop.
 */
#define VIR_CONNECT_LIST_DOMAINS_PERSISTENT 4

/**
 * Domains that vanish when they stop.
 */
#define VIR_CONNECT_LIST_DOMAINS_TRANSIENT 8

/**
 * Domains whose state is running.
 */
#define VIR_CONNECT_LIST_DOMAINS_RUNNING 16

/**
 * Domains whose state is paused.
 */
#define VIR_CONNECT_LIST_DOMAINS_PAUSED 32

/**
 * Domains whose state is shut off.
 */
#define VIR_CONNECT_LIST_DOMAINS_SHUTOFF 64

/**
 * Domains in any other state.
 */
#define VIR_CONNECT_LIST_DOMAINS_OTHER 128

/**
 * VIR_CONNECT_LIST_DOMAINS_ACTIVE
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE 1

/**
 * VIR_CONNECT_LIST_DOMAINS_INACTIVE
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE 2

/**
 * VIR_CONNECT_LIST_DOMAINS_PERSISTENT
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT 4

/**
 * VIR_CONNECT_LIST_DOMAINS_TRANSIENT
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT 8

/**
 * VIR_CONNECT_LIST_DOMAINS_RUNNING
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING 16

/**
 * VIR_CONNECT_LIST_DOMAINS_PAUSED
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED 32

/**
 * VIR_CONNECT_LIST_DOMAINS_SHUTOFF
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF 64

/**
 * VIR_CONNECT_LIST_DOMAINS_OTHER
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER 128

/**
 * Skip busy monitors.
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT 536870912

/**
 * List every image of a disk's backing chain, not only the top one.
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING 1073741824

/**
 * A group that is not supported is an error, not an omission.
 */
#define VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS 2147483648

/**
 * The document is JSON, not XML. libvirt has no such flag.
 */
#define DOMSTATS_FORMAT_JSON 65536

/**
 * Not a value: the group in key is missing in whole or in part. word is the reason, such as
 * "timeout" or "unsupported", and value.s the explanation for people, which may be empty. key is the
 * name of the group, such as "cpu-total", or empty if the whole domain is missing.
 */
#define DOMSTATS_MISSING 0

/**
 * Another domain has its name.
 */
#define DOMSTATS_CONFLICT_NAME 1

/**
 * Another domain has its UUID.
 */
#define DOMSTATS_CONFLICT_UUID 2

/**
 * The value is value.i.
 */
#define VIR_TYPED_PARAM_INT 1

/**
 * The value is value.ui.
 */
#define VIR_TYPED_PARAM_UINT 2

/**
 * The value is value.l.
 */
#define VIR_TYPED_PARAM_LLONG 3

/**
 * The value is value.ul.
 */
#define VIR_TYPED_PARAM_ULLONG 4

/**
 * The value is value.d.
 */
#define VIR_TYPED_PARAM_DOUBLE 5

/**
 * The value is value.b, 0 or 1.
 */
#define VIR_TYPED_PARAM_BOOLEAN 6

/**
 * The value is value.s. The bins of a hypervisor's histogram are numbers separated by spaces.
 */
#define VIR_TYPED_PARAM_STRING 7

/**
 * A connection to a hypervisor.
 */
typedef struct virConnect virConnect;

/**
 * A domain: a virtual machine.
 */
typedef struct virDomain virDomain;

/**
 * A connection to a hypervisor: virConnectOpen opens it, virConnectClose releases it. Threads may
 * share one.
 */
typedef struct virConnect *virConnectPtr;

/**
 * A domain, which is a virtual machine, as it was when it was looked up: virDomainFree releases it.
 * Threads may share one.
 */
typedef struct virDomain *virDomainPtr;

/**
 * An error. The layout is that of libvirt's struct.
 */
typedef struct virError {
  /**
   * What went wrong, VIR_ERR_...; the number of a libvirt daemon may have no name here.
   */
  int code;
  /**
   * The part that reports it, VIR_FROM_...; the number of a libvirt daemon may have no name here.
   */
  int domain;
  /**
   * A sentence for people.
   */
  char *message;
  /**
   * VIR_ERR_ERROR.
   */
  int level;
  /**
   * NULL.
   */
  virConnectPtr conn;
  /**
   * NULL.
   */
  virDomainPtr dom;
  /**
   * NULL.
   */
  char *str1;
  /**
   * NULL.
   */
  char *str2;
  /**
   * NULL.
   */
  char *str3;
  /**
   * -1.
   */
  int int1;
  /**
   * -1.
   */
  int int2;
  /**
   * NULL.
   */
  void *net;
} virError;

/**
 * An error of this thread, owned by the library.
 */
typedef struct virError *virErrorPtr;

/**
 * A function that is called for every error, in the thread where it happens, before the failing
 * call returns. It may call this library.
 */
typedef void (*virErrorFunc)(void *user_data, virErrorPtr error);

/**
 * A value; the type says which member holds it. They are those of libvirt's virTypedParameter.
 */
typedef union domstatsNumber {
  /**
   * VIR_TYPED_PARAM_INT
   */
  int i;
  /**
   * VIR_TYPED_PARAM_UINT
   */
  unsigned int ui;
  /**
   * VIR_TYPED_PARAM_LLONG
   */
  long long l;
  /**
   * VIR_TYPED_PARAM_ULLONG
   */
  unsigned long long ul;
  /**
   * VIR_TYPED_PARAM_DOUBLE
   */
  double d;
  /**
   * VIR_TYPED_PARAM_BOOLEAN
   */
  char b;
  /**
   * VIR_TYPED_PARAM_STRING
   */
  const char *s;
} domstatsNumber;

/**
 * A statistic. It and its texts are valid until the visitor returns. Newer versions of the library
 * may add members at the end.
 */
typedef struct domstatsValue {
  /**
   * The name of the domain.
   */
  const char *domain;
  /**
   * Its UUID, or NULL if it has none.
   */
  const char *uuid;
  /**
   * Its number, or (unsigned int) -1 if it is not active.
   */
  unsigned int id;
  /**
   * The type of the value, VIR_TYPED_PARAM_..., or DOMSTATS_MISSING.
   */
  int type;
  /**
   * Its key, as libvirt spells it: "block.0.rd.reqs".
   */
  const char *key;
  /**
   * Its unit: "ns", "s", "B", "KiB", "MiB/s", "J", "F", "count" for a number of things or events,
   * empty if there is none.
   */
  const char *unit;
  /**
   * The word of an enumeration, such as "running" for the number 1 of state.state; else NULL.
   */
  const char *word;
  /**
   * The value.
   */
  union domstatsNumber value;
  /**
   * The user that the domain's QEMU runs as, from the kernel, or (unsigned int) -1 if unknown, as
   * with libvirt.
   */
  unsigned int uid;
  /**
   * 1 if that user is not trusted, so that name and UUID may be those of another domain, else 0.
   */
  int untrusted;
  /**
   * What another domain has too: DOMSTATS_CONFLICT_NAME, DOMSTATS_CONFLICT_UUID, or both added up.
   */
  int conflict;
} domstatsValue;

/**
 * A function that is called for each statistic, with the argument of the visit. It returns 0 to go
 * on, anything else to stop. It may call this library, and must not exit by longjmp() or by a C++
 * exception.
 */
typedef int (*domstatsVisitor)(const struct domstatsValue *value, void *opaque);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens a connection. Every connection is read-only: this library never changes a domain.
 *
 * name is its URI: "qemu:///system" is the libvirt daemon of this host, "qemu+ssh://HOST/system"
 * that of another one, "qemu+qmp:///system" reads the QEMU processes of this host without libvirt,
 * "test:///default" simulates domains. For NULL or "", the URI is DOMSTATS_DEFAULT_URI or
 * LIBVIRT_DEFAULT_URI in the environment or uri_default in libvirt.conf, else the libvirt daemon of
 * this host, else its QEMU processes.
 *
 * Returns NULL on error. Close the connection with virConnectClose.
 */
virConnectPtr virConnectOpen(const char *name);

/**
 * The same as virConnectOpen.
 */
virConnectPtr virConnectOpenReadOnly(const char *name);

/**
 * Releases a reference to a connection. Releasing the last one closes it; each of its domains that
 * is not freed holds a reference too.
 *
 * Returns 0 if it was the last reference, 1 if there are more, -1 on error.
 */
int virConnectClose(virConnectPtr conn);

/**
 * Adds a reference, to be released with virConnectClose.
 *
 * Returns 0, or -1 on error.
 */
int virConnectRef(virConnectPtr conn);

/**
 * Returns the URI of the connection, to be released with free(), or NULL on error.
 */
char *virConnectGetURI(virConnectPtr conn);

/**
 * Returns the driver's name, such as "QEMU", or NULL on error. It is valid as long as the
 * connection.
 */
const char *virConnectGetType(virConnectPtr conn);

/**
 * Returns the name of the host that the domains run on, to be released with free(), or NULL on
 * error.
 */
char *virConnectGetHostname(virConnectPtr conn);

/**
 * Returns 1 if the hypervisor is reachable, 0 if not, -1 on error.
 */
int virConnectIsAlive(virConnectPtr conn);

/**
 * Sets the timeout of later calls on a connection, in milliseconds. A call returns by then with
 * everything that could be read, whatever the domains do. 0 restores the default, 1000; the maximum
 * is a day.
 *
 * Returns 0, or -1 on error.
 */
int domstatsConnectSetTimeout(virConnectPtr conn, unsigned int milliseconds);

/**
 * Lists the domains that match flags, which are VIR_CONNECT_LIST_DOMAINS_...: a domain matches if it
 * has one of the given flags of every class; 0 matches all.
 *
 * *domains becomes a NULL-terminated array. Release each domain in it with virDomainFree, then the
 * array with free(). domains may be NULL if only the number is wanted.
 *
 * Returns the number of domains, or -1 on error.
 */
int virConnectListAllDomains(virConnectPtr conn,
                             virDomainPtr **domains,
                             unsigned int flags);

/**
 * Looks up the domain with this name, among those whose user is trusted.
 *
 * Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none, VIR_ERR_OPERATION_INVALID if there are
 * several.
 */
virDomainPtr virDomainLookupByName(virConnectPtr conn, const char *name);

/**
 * Looks up the domain with this UUID, in any usual spelling, among those whose user is trusted.
 *
 * Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none, VIR_ERR_OPERATION_INVALID if there are
 * several.
 */
virDomainPtr virDomainLookupByUUIDString(virConnectPtr conn, const char *uuidstr);

/**
 * Looks up the active domain with this number.
 *
 * Returns NULL on error: VIR_ERR_NO_DOMAIN if there is none.
 */
virDomainPtr virDomainLookupByID(virConnectPtr conn, int id);

/**
 * Returns the domain's name, or NULL on error. It is valid as long as the domain.
 */
const char *virDomainGetName(virDomainPtr domain);

/**
 * Writes the domain's UUID to buf, which has VIR_UUID_STRING_BUFLEN bytes: 36 characters and a
 * zero. A QEMU that was started by hand may have no UUID: VIR_ERR_OPERATION_INVALID.
 *
 * Returns 0, or -1 on error.
 */
int virDomainGetUUIDString(virDomainPtr domain, char *buf);

/**
 * Returns the domain's number, or (unsigned int) -1 if it was not active, or on error.
 */
unsigned int virDomainGetID(virDomainPtr domain);

/**
 * Returns the domain's connection, or NULL on error. It adds no reference: the result is valid as
 * long as the domain.
 */
virConnectPtr virDomainGetConnect(virDomainPtr domain);

/**
 * Adds a reference, to be released with virDomainFree.
 *
 * Returns 0, or -1 on error.
 */
int virDomainRef(virDomainPtr domain);

/**
 * Releases a reference to a domain. This does not affect the virtual machine.
 *
 * Returns 0, or -1 on error.
 */
int virDomainFree(virDomainPtr domain);

/**
 * Returns the error of this thread's last call, or NULL if it succeeded. It is valid until the
 * thread's next call.
 */
virErrorPtr virGetLastError(void);

/**
 * Returns the message of this thread's last error, or "no error". It is valid until the thread's
 * next call; do not free it.
 */
const char *virGetLastErrorMessage(void);

/**
 * Returns the code of this thread's last error, or VIR_ERR_OK.
 */
int virGetLastErrorCode(void);

/**
 * Returns the part that reported this thread's last error, or VIR_FROM_NONE.
 */
int virGetLastErrorDomain(void);

/**
 * Resets this thread's last error. Every other call does so when it begins.
 */
void virResetLastError(void);

/**
 * Sets the function that is called for the errors of all threads, and its first argument; NULL for
 * none. Without one libvirt prints errors; this library prints nothing.
 */
void virSetErrorFunc(void *user_data, virErrorFunc handler);

/**
 * Returns the statistics of all domains that match flags, by name: a document to be released with
 * free(), or NULL on error.
 *
 * stats are groups, VIR_DOMAIN_STATS_... combined with |; 0 selects all of libvirt's. flags are
 * VIR_CONNECT_GET_ALL_DOMAINS_STATS_... and DOMSTATS_FORMAT_JSON; 0 selects all domains and XML.
 *
 * The call returns within the timeout of the connection, which is 1 second unless
 * domstatsConnectSetTimeout changed it. What could not be read is absent, and the document says
 * why: `<missing group='block' reason='timeout'>`. One broken domain is never an error.
 */
char *virConnectGetAllDomainStats(virConnectPtr conn, unsigned int stats, unsigned int flags);

/**
 * Returns the statistics of these domains of one connection, in their order: a document to be
 * released with free(), or NULL on error. doms is a NULL-terminated array.
 *
 * A domain that vanished has no record, and the document says so; domains that do not match flags
 * have none either. Otherwise this works like virConnectGetAllDomainStats.
 */
char *virDomainListGetStats(virDomainPtr *doms, unsigned int stats, unsigned int flags);

/**
 * The same as virDomainListGetStats for a list of one domain.
 */
char *virDomainGetStats(virDomainPtr dom, unsigned int stats, unsigned int flags);

/**
 * Visits the statistics that virConnectGetAllDomainStats would return, domain by domain: first the
 * values, then what is missing. stats and flags are those of that function, except
 * DOMSTATS_FORMAT_JSON.
 *
 * Returns the number of visits, or -1 on error.
 */
int domstatsConnectVisitAllDomainStats(virConnectPtr conn,
                                       unsigned int stats,
                                       unsigned int flags,
                                       domstatsVisitor visitor,
                                       void *opaque);

/**
 * Visits the statistics that virDomainListGetStats would return; doms is a NULL-terminated array.
 * Otherwise this works like domstatsConnectVisitAllDomainStats.
 *
 * Returns the number of visits, or -1 on error.
 */
int domstatsDomainListVisitStats(virDomainPtr *doms,
                                 unsigned int stats,
                                 unsigned int flags,
                                 domstatsVisitor visitor,
                                 void *opaque);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DOMSTATS_H */
