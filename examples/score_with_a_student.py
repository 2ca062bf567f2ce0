"""Score pairs with a trained student: python examples/score_with_a_student.py runs/demo/students/DIGEST"""

import sys

from tmkd import Student

PAIRS = [
    ("why is the sky blue", "Air scatters blue light more than red, so the sky looks blue."),
    ("why is the sky blue", "Grass is green."),
]

student = Student.from_pretrained(sys.argv[1])
print("headers:", *(header.name for header in student.headers.named))
print("classes:", *student.labels.names, "- positive:", student.labels.positive)
for (_, passage), probabilities in zip(PAIRS, student.predict_proba(PAIRS), strict=True):  # Eq. 6
    print(*(f"{probability:.3f}" for probability in probabilities), passage)
