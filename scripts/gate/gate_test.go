package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lines are what go test -json and Ginkgo 2.34 print, shortened.
func TestResultsCountTestsAndShowWhatFailed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  counts
		shown string
	}{{
		name: "a passing package is one line",
		lines: []string{
			`{"Action":"run","Package":"p","Test":"TestA"}`,
			`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}`,
			`{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}`,
			`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}`,
			`{"Action":"output","Package":"p","Output":"PASS\n"}`,
			`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
			`{"Action":"pass","Package":"p","Elapsed":0.1}`,
		},
		want:  counts{Passed: 1},
		shown: "ok  \tp\t0.1s\n",
	}, {
		name: "failed and skipped tests are shown, a failed package counts no more than its tests",
		lines: []string{
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: wrong\n"}`,
			`{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}`,
			`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: not root\n"}`,
			`{"Action":"skip","Package":"p","Test":"TestB","Elapsed":0}`,
			`{"Action":"output","Package":"p","Output":"FAIL\n"}`,
			`{"Action":"fail","Package":"p","Elapsed":0.1}`,
		},
		want:  counts{Failed: 1, Skipped: 1},
		shown: "    a_test.go:7: wrong\n    b_test.go:7: not root\nFAIL\n",
	}, {
		name: "a package that does not build is a failure",
		lines: []string{
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"./a.go:3:1: syntax error\n"}`,
			`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
			`{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}`,
			`{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}`,
		},
		want:  counts{Failed: 1},
		shown: "./a.go:3:1: syntax error\nFAIL\tp [build failed]\n",
	}, {
		name: "what a test printed before its process died is shown",
		lines: []string{
			`{"Action":"output","Package":"p","Test":"TestA","Output":"dying\n"}`,
			`{"Action":"fail","Package":"p","Elapsed":0.1}`,
		},
		want:  counts{Failed: 1},
		shown: "dying\n",
	}, {
		name: "specs of Ginkgo, in colour, beside other lines",
		lines: []string{
			"{not an event}",
			"\x1b[38;5;9m\x1b[1mFAIL!\x1b[0m -- \x1b[38;5;10m\x1b[1m41 Passed\x1b[0m | \x1b[38;5;9m\x1b[1m1 Failed\x1b[0m | \x1b[38;5;11m\x1b[1m0 Pending\x1b[0m | \x1b[38;5;14m\x1b[1m2 Skipped\x1b[0m",
		},
		want: counts{Passed: 41, Failed: 1, Skipped: 2},
		shown: "{not an event}\n" +
			"\x1b[38;5;9m\x1b[1mFAIL!\x1b[0m -- \x1b[38;5;10m\x1b[1m41 Passed\x1b[0m | \x1b[38;5;9m\x1b[1m1 Failed\x1b[0m | \x1b[38;5;11m\x1b[1m0 Pending\x1b[0m | \x1b[38;5;14m\x1b[1m2 Skipped\x1b[0m\n",
	}} {
		t.Run(tc.name, func(t *testing.T) {
			var shown strings.Builder
			r := newResults(&shown)
			for _, line := range tc.lines {
				r.line(line + "\n")
			}
			if diff := cmp.Diff(tc.want, r.counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.shown, shown.String()); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStagesRunMakeAndAFailureWithoutTestsCounts(t *testing.T) {
	t.Chdir(t.TempDir())
	makefile := strings.Join([]string{
		"good:", "\t@echo 'Ran 3 of 3 Specs'; echo 'SUCCESS! -- 3 Passed | 0 Failed | 0 Pending | 0 Skipped'; echo flags $(TEST_FLAGS)",
		"bad:", "\t@echo complaint; exit 3", "",
	}, "\n")
	if err := os.WriteFile(filepath.Join(".", "Makefile"), []byte(makefile), 0o600); err != nil {
		t.Fatal(err)
	}

	var out strings.Builder
	good, bad := run("good", &out), run("bad", &out)
	if good.err != nil || good.counts != (counts{Passed: 3}) {
		t.Errorf("stage good: %v, %+v", good.err, good.counts)
	}
	if bad.err == nil || bad.counts != (counts{Failed: 1}) {
		t.Errorf("stage bad: %v, %+v", bad.err, bad.counts)
	}
	for _, line := range []string{"flags -json\n", "complaint\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in what the stages printed:\n%s", line, out.String())
		}
	}

	out.Reset()
	total := summarize(&out, []stage{good, bad})
	if total != (counts{Passed: 3, Failed: 1}) {
		t.Errorf("total: %+v", total)
	}
	if !strings.HasSuffix(out.String(), "\n3 passed, 1 failed\n") {
		t.Errorf("the closing line is missing:\n%s", out.String())
	}
}
