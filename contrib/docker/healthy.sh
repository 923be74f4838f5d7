#!/bin/sh
# Whether the service of this container can do its work, by its own word.
exec curl --fail --silent --show-error --max-time 4 --output /dev/null "$SPECIE_HEALTH"
