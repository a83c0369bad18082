"""What identifies the publication that a number comes from."""

import re


def publications(text: str) -> set[str]:
    """What identifies publications in a text: DOI, PMID, and year with volume and first page."""
    found = {doi.rstrip(".,;)").lower() for doi in re.findall(r"10\.\d{4,9}/\S+", text)}
    found |= {f"pmid {number}" for number in re.findall(r"PMID:?\s*(\d+)", text, re.IGNORECASE)}
    date = r"(\d{4})(?:\s+[A-Za-z]{3,9}(?:\s+\d{1,2})?)?"
    places = re.findall(date + r";\s*(\d+)\s*(?:\([^)]*\))?:\s*([A-Za-z]?\d+)", text)
    return found | {f"{year};{volume}:{page}".lower() for year, volume, page in places}
