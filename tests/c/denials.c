/*
 * Prints each denial of a gate and of its token endpoint, one a line:
 *
 *   PLACE CAUSE STATUS RETRY_AFTER BODY
 */

#include <credgate.h>

#include <stdio.h>
#include <string.h>


static void print_denials(const char *place, const credgate_gate *gate)
{
    int32_t code;

    for (code = 3001; code < 6000; code++) {
        credgate_outcome outcome = { .struct_size = sizeof(outcome) };

        if (credgate_gate_deny(gate, code, &outcome) == CREDGATE_OK) {
            printf("%s %s %u %u %.*s\n", place, credgate_cause_name(code),
                   (unsigned) outcome.http_status,
                   (unsigned) outcome.retry_after,
                   (int) outcome.body_len, outcome.body);
            credgate_outcome_release(&outcome);
        }
    }
}


int main(void)
{
    static const char config[] = "{\"issuer\": \"https://idp.example/\"}";
    credgate_gate *gate, *endpoint;

    if (credgate_gate_new(config, strlen(config), &gate, NULL) != CREDGATE_OK
        || credgate_gate_token_endpoint(gate, &endpoint, NULL) != CREDGATE_OK)
    {
        return 1;
    }
    print_denials("gate", gate);
    print_denials("endpoint", endpoint);
    credgate_gate_free(endpoint);
    credgate_gate_free(gate);
    return 0;
}
