"""The chaos run: requests in flight, faults from a seed, then the ledger itself is audited.

`plan` says, from the seed alone, what is asked for and what goes wrong when. `storm` runs that on a
real local stack: `clients` submit and approve, `weather` carries out the faults on workers (`crew`),
servers and ledger, a `stranger` hands stored envelopes in. `audit` then holds every request against
what stands in the ledger (`book`), and `report` shows the one table.
"""
