/* Prints whatever a visitor is told, a line each. */
#include <stdio.h>
#include <stdlib.h>

#include <domstats.h>

static int visit(const domstatsValue *value, void *opaque)
{
    (void)opaque;
    printf("%s %s %d %d%s%s%s %s ", value->domain, value->uuid ? value->uuid : "none",
           (int)value->id, (int)value->uid, value->untrusted ? " untrusted" : "",
           value->conflict & DOMSTATS_CONFLICT_NAME ? " name" : "",
           value->conflict & DOMSTATS_CONFLICT_UUID ? " uuid" : "", value->key);
    switch (value->type) {
    case DOMSTATS_MISSING:
        printf("missing %s", value->value.s);
        break;
    case VIR_TYPED_PARAM_INT:
        printf("int %d", value->value.i);
        break;
    case VIR_TYPED_PARAM_UINT:
        printf("uint %u", value->value.ui);
        break;
    case VIR_TYPED_PARAM_LLONG:
        printf("llong %lld", value->value.l);
        break;
    case VIR_TYPED_PARAM_ULLONG:
        printf("ullong %llu", value->value.ul);
        break;
    case VIR_TYPED_PARAM_DOUBLE:
        printf("double %f", value->value.d);
        break;
    case VIR_TYPED_PARAM_BOOLEAN:
        printf("boolean %d", value->value.b);
        break;
    case VIR_TYPED_PARAM_STRING:
        printf("string %s", value->value.s);
        break;
    default:
        return -1;
    }
    printf(" [%s] [%s]\n", value->unit, value->word ? value->word : "");
    return 0;
}

int main(int argc, char **argv)
{
    virConnectPtr conn = virConnectOpen(argc > 1 ? argv[1] : NULL);

    if (domstatsConnectVisitAllDomainStats(conn, 0, 0, visit, NULL) < 0) {
        fprintf(stderr, "%s\n", virGetLastErrorMessage());
        return EXIT_FAILURE;
    }
    return virConnectClose(conn);
}
