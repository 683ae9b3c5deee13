# A program drives the DOE mailbox itself, through the card's config file.
. "$(dirname "$0")/common.sh"
run 0 "$2" $card/config
says '^DOE works$'
