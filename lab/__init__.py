"""A BGP laboratory: real daemons in network namespaces act out incidents and leave MRT files and the truth about them.

``python -m lab`` (as root; ``make lab``) makes the folders of ``src/seedtune/domains/bgp/recordings`` anew; docs/lab.md
describes them. The floors, lowest first: topology, numbers; speaker; bird, frr; scenario, truth; namespaces, mrt_shift;
run.
"""
