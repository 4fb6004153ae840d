# SPDX-License-Identifier: GPL-2.0
# gnuplot -c plot.gp <picture> <CSV> <SVG> <caption>: draw what plot.py wrote.

picture = ARG1
csv = ARG2

set terminal svg noenhanced size 820,440 font "sans-serif,13" background "white"
set output ARG3
set datafile separator comma
set datafile missing ""
set linetype 1 lc rgb "#c0392b" lw 2 pt 7 ps 0.4
set linetype 2 lc rgb "#1f5fa8" lw 2 pt 7 ps 0.4
set linetype 3 lc rgb "#7f8c8d" lw 2 pt 7 ps 0.4
set linetype 4 lc rgb "#d68910" lw 2 pt 7 ps 0.4
set border 3
set tics nomirror out scale 0.5
set grid ytics lt 1 lc rgb "#dddddd" lw 1
set key top left Left reverse samplen 2 spacing 1.1
set label 1 ARG4 at screen 0.012,0.06 font ",11" tc rgb "#555555"
set bmargin 6.5
set style fill solid noborder
set style histogram clustered gap 1
set boxwidth 0.9

# Where they are many and where bars stand at the left, the key needs a place above.
if (picture eq "hit" || picture eq "overlap" || picture eq "others") {
	set yrange [0:]
	set offsets 0, 0, graph 0.3, 0
}

# Powers of ten, but for the last number of functions.
if (picture eq "attach" || picture eq "memory") {
	set logscale xy
	set format "%.0s%c"
	unset mxtics
	unset mytics
	set xlabel "number of functions"
}

if (picture eq "attach") {
	set multiplot layout 1,2 title "What a link to n functions takes"
	set title "attach"
	set ylabel "instructions"
	set yrange [:1e11]
	plot csv skip 1 using 1:2 with linespoints lt 1 title "base", \
		'' skip 1 using 1:3 with linespoints lt 2 title "patched", \
		'' skip 1 using 1:4 with linespoints lt 3 title "function tracer", \
		'' skip 1 using 1:5 with linespoints lt 4 title "kprobe.multi"
	unset label 1
	set title "close"
	plot csv skip 1 using 1:6 with linespoints lt 1 title "base", \
		'' skip 1 using 1:7 with linespoints lt 2 title "patched", \
		'' skip 1 using 1:8 with linespoints lt 2 dt 2 \
			title "patched, with what is tidied up later", \
		'' skip 1 using 1:9 with linespoints lt 3 title "function tracer", \
		'' skip 1 using 1:10 with linespoints lt 4 title "kprobe.multi"
	unset multiplot
}

if (picture eq "memory") {
	set multiplot layout 1,2 title "What a link to n functions keeps"
	set title "kernel memory"
	set ylabel "bytes"
	plot csv skip 1 using 1:2 with linespoints lt 1 title "base", \
		'' skip 1 using 1:3 with linespoints lt 2 title "patched", \
		'' skip 1 using 1:4 with linespoints lt 4 title "kprobe.multi"
	unset label 1
	set title "trampolines"
	set ylabel "number"
	plot csv skip 1 using 1:5 with linespoints lt 1 title "base", \
		'' skip 1 using 1:6 with linespoints lt 2 title "patched"
	unset multiplot
}

if (picture eq "hit") {
	set title "A call of a traced function that runs empty programs"
	set ylabel "instructions"
	set xtics rotate by 20 right
	set bmargin 10
	plot csv skip 1 using 2:xtic(1) with histograms lt 1 title "base", \
		'' skip 1 using 3 with histograms lt 2 title "patched", \
		'' skip 1 using ($0 - 0.18):2:(sprintf("%.0f", $2)) \
			with labels offset 0,0.6 font ",11" notitle, \
		'' skip 1 using ($0 + 0.18):3:(sprintf("%.0f", $3)) \
			with labels offset 0,0.6 font ",11" notitle
}

if (picture eq "overlap") {
	set multiplot layout 1,2 title "Links to 2,000 functions each, at random, of three kinds in turn"
	set xlabel "number of links"
	set title "attach the last of them"
	set ylabel "million instructions"
	plot csv skip 1 using 1:($2 / 1e6) with lines lt 1 title "base", \
		'' skip 1 using 1:($3 / 1e6) with lines lt 2 title "patched"
	unset label 1
	set title "kernel memory for all of them"
	set ylabel "MB"
	plot csv skip 1 using 1:($4 / 1e6) with lines lt 1 title "base", \
		'' skip 1 using 1:($5 / 1e6) with lines lt 2 title "patched"
	unset multiplot
}

if (picture eq "others") {
	set title "How long a single program waits while links to all other functions come and go, patched"
	set ylabel "milliseconds"
	plot csv skip 1 using ($2 / 1e6):xtic(1) with histograms lt 3 title "nobody else, median", \
		'' skip 1 using ($3 / 1e6) with histograms lt 2 title "meanwhile, median", \
		'' skip 1 using ($4 / 1e6) with histograms lt 4 title "meanwhile, 95 of 100 within"
}
