// The release of NSQ that the peers are built from: tools/nsq_peers.sh.
module penstock/nsqpeers

go 1.17

require github.com/nsqio/nsq v1.3.0

// The module that nsq names is served no longer under that name.
replace github.com/judwhite/go-svc => github.com/mreiferson/go-svc v1.2.2-0.20210815184239-7a96e00010f6
